//! Looks into the store as a successor would: no position stands there before its effects. What
//! the changelog adds up to are just the panes of the trades below its positions, and the dead
//! letters below them have been sent.

use std::collections::{BTreeMap, BTreeSet};

use aggregator_service::domain::pane::{Mark, Pane};
use aggregator_service::domain::position::{Offset, Partition};
use aggregator_service::domain::price::Price;
use aggregator_service::domain::token::ShardId;
use aggregator_service::ports::TradeLog;
use aggregator_service::wire::checkpoint::decode;
use bigdecimal::BigDecimal;

use crate::judge::dead_letters;
use crate::ledger::{Lost, holds, key};
use crate::world::{LONGEST, World};
use support::oracle::{self, Told};

/// Everything that the shards' checkpoints say.
pub(crate) fn store(world: &World) {
    // Of older seconds a pane may have been late, or be trimmed.
    let oldest = world.latest().second().0 - LONGEST;
    let market = world.market.lock().unwrap();
    let mut recent: BTreeMap<u16, Vec<&Told>> = BTreeMap::new();
    for (shard, told) in market.told.iter().filter(|(_, told)| told.second() > oldest) {
        recent.entry(*shard).or_default().push(told);
    }
    let letters = dead_letters(world);
    for shard in 0..world.shards.count() {
        let Some(entries) = world.store.changelog(ShardId(shard)) else { continue };
        let writer = world.writer(entries.last().unwrap());
        let lost = world.ledger().lost_in(writer);
        let mut positions = BTreeMap::new();
        let mut panes = BTreeMap::new();
        for entry in &entries {
            let entry = decode(entry, |at| {
                if at.second.0 > oldest {
                    panes.insert((at.token.to_owned(), at.second.0), at.pane);
                }
            });
            let entry = entry.unwrap();
            positions = entry.positions.iter().map(|(at, next)| (at.0, next.0)).collect();
        }
        let passed = |partition: i32, offset: i64| {
            let next = key(partition, positions.get(&partition).copied().unwrap_or(0));
            key(partition, offset) < next && !holds(&lost, partition, offset)
        };
        let told = recent.get(&shard).map_or(&[][..], Vec::as_slice).iter().copied();
        compare(shard, told.filter(|told| passed(told.position.0, told.position.1)), panes);
        // The owner of this shard answers for these.
        let owner = |place: &Place| {
            let partition = Partition(place.0);
            let answering = || world.shards.answering_for(partition).0;
            market.owners.get(place).copied().unwrap_or_else(answering)
        };
        let mut bad = market.bad.iter().filter(|place| owner(place) == shard);
        let older = |place: &Place| world.ledger().began_behind_in(writer, (place.0, place.1));
        let unsent =
            bad.find(|place| passed(place.0, place.1) && !letters.contains(place) && !older(place));
        assert!(unsent.is_none(), "shard {shard} passed {unsent:?}, which has no dead letter");
    }
}

fn compare<'a>(
    shard: u16,
    told: impl Iterator<Item = &'a Told>,
    mut panes: BTreeMap<(String, i64), Pane>,
) {
    let mut expected: BTreeMap<(String, i64), Vec<&Told>> = BTreeMap::new();
    for told in told {
        expected.entry((told.token.clone(), told.second())).or_default().push(told);
    }
    for (place, mut told) in expected {
        told.sort_by_key(|told| told.order());
        let pane = panes.remove(&place);
        let pane = pane.unwrap_or_else(|| panic!("shard {shard} has no pane of {place:?}"));
        let side = |buy| told.iter().filter(move |told| told.buy == buy);
        for (buy, flow) in [(false, pane.sums.sell), (true, pane.sums.buy)] {
            assert_eq!(flow.count, side(buy).count() as u64, "{place:?} in shard {shard}");
            let volume: BigDecimal = side(buy).map(|told| oracle::amount(&told.native)).sum();
            assert_eq!(units(flow.volume), volume, "{place:?} in shard {shard}");
        }
        let usd = told.iter().map(|told| oracle::amount(&told.amount) * oracle::price(told));
        let usd: BigDecimal = usd.map(oracle::rounded).sum();
        assert_eq!(units(pane.sums.usd), usd, "{place:?} in shard {shard}");
        mark(&pane.first, told[0]);
        mark(&pane.last, told[told.len() - 1]);
    }
    assert!(panes.is_empty(), "shard {shard} has panes of no trade: {panes:?}");
}

fn mark(mark: &Mark, told: &Told) {
    let position = (mark.position.partition.0, mark.position.offset.0, mark.position.index);
    assert_eq!((position, price(mark.price)), (told.position, oracle::price(told)));
}

fn price(price: Price) -> BigDecimal {
    BigDecimal::new(price.mantissa().into(), price.scale().into())
}

fn units(units: i128) -> BigDecimal {
    BigDecimal::new(units.into(), 18)
}

/// The checkpoint's positions are the log's ends.
pub(crate) fn nothing_to_read_again(world: &World) {
    let ends = futures::executor::block_on(world.log.partitions()).unwrap();
    for shard in 0..world.shards.count() {
        let entries = world.store.changelog(ShardId(shard)).expect("every shard is checkpointed");
        let last = decode(entries.last().unwrap(), |_| ()).unwrap();
        let expected: Vec<(Partition, Offset)> =
            ends.iter().map(|range| (range.partition, range.end)).collect();
        assert_eq!(last.positions, expected, "shard {shard}");
    }
}

/// What no shard of a process could count is no matter of its dead letters either.
pub(crate) fn lost_to_all(world: &World, process: usize) -> impl Fn(i32, i64) -> bool {
    let ledger = world.ledger();
    let lost: Vec<Lost> =
        (0..world.shards.count()).map(|shard| ledger.lost(process, shard)).collect();
    move |partition, offset| lost.iter().all(|lost| holds(lost, partition, offset))
}

/// A place, as dead letters name it.
pub(crate) type Place = (i32, i64, Option<u32>);

pub(crate) type Places = BTreeSet<Place>;
