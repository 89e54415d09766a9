//! The scanner for usual values against the general reader: what it takes must be the same.

use aggregator_service::domain::cover::Cover;
use aggregator_service::domain::token::{ShardId, Shards, TokenHash, murmur2};
use aggregator_service::domain::trade::Trade;
use aggregator_service::wire::trade::{Element, decode};
use aggregator_service::wire::trade_scan::Scanner;

use super::trade::LATEST;

/// Whether a scan takes the value; if so the trades, places and bytes are the general reader's,
/// whatever order of fields was seen before. Of some of the shards too, then without what the
/// others' tokens say.
pub(crate) fn scan(value: &[u8]) -> bool {
    let some = murmur2(value);
    for rest in [0, 1] {
        let wanted = (0..Shards::DEFAULT.count()).filter(|id| (some >> (id % 32)) & 1 == rest);
        scan_of(value, Some(&Cover::of(Shards::DEFAULT, wanted.map(ShardId))));
    }
    scan_of(value, None)
}

fn scan_of(value: &[u8], wanted: Option<&Cover>) -> bool {
    let is_wanted =
        |hash: TokenHash| wanted.is_none_or(|cover| cover.contains(Shards::DEFAULT.of(hash)));
    let mut scanner = Scanner::new();
    let first = scanned(&mut scanner, value, wanted);
    assert_eq!(scanned(&mut scanner, value, wanted), first, "read a second time");
    let Some(trades) = first else { return false };
    let mut left = trades.into_iter();
    decode(value, Some(LATEST), &mut |element| match element {
        Element::Trade { trade, .. } if !is_wanted(trade.hash) => {}
        Element::Rejected { hash: Some(hash), .. } if !is_wanted(hash) => {}
        Element::Trade { index, bytes, trade } => {
            let (place, element, scanned) = left.next().expect("a trade for each of the general");
            assert_eq!((place, scanned), (index, trade));
            assert_eq!(element.as_ptr_range(), bytes.as_ptr_range());
        }
        Element::Rejected { .. } => panic!("taken, and {element:?}"),
    });
    assert_eq!(left.next(), None, "no more trades than the general");
    true
}

fn scanned<'v>(
    scanner: &mut Scanner,
    value: &'v [u8],
    wanted: Option<&Cover>,
) -> Option<Vec<(u32, &'v [u8], Trade<'v>)>> {
    let mut trades = Vec::new();
    let usual = scanner.scan(value, Some(LATEST), wanted, &mut |index, bytes, trade| {
        trades.push((index, bytes, trade));
    });
    usual.then_some(trades)
}
