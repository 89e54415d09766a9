//! A record's value to trades: single objects, and arrays of fifty.

use aggregator_service::wire::trade::{Element, decode};
use divan::{Bencher, counter::ItemsCount};

/// Trades in a value.
const SIZES: [usize; 2] = [1, 50];

#[divan::bench(args = SIZES)]
fn parse(bencher: Bencher, trades: usize) {
    let value = value(trades);
    bencher.counter(ItemsCount::new(trades)).bench(|| {
        let mut read = 0;
        decode(divan::black_box(value.as_bytes()), None, &mut |element| {
            read += usize::from(matches!(element, Element::Trade { .. }));
        });
        assert_eq!(read, trades);
    });
}

/// Trades as collectors write them, some 320 bytes each.
fn value(trades: usize) -> String {
    let trade = |number: usize| {
        format!(
            concat!(
                r#"{{"Token":"{:A>40}pump","Wallet":"{:B>44}","SellBuy":"buy","#,
                r#""NativeAmount":"0.{:0>9}","TokenAmount":"{}.{}","PriceUsd":"0.0000{}","#,
                r#""TransTime":"2025-01-08T10:30:00Z","TxHash":"{:C>88}"}}"#
            ),
            number, number, number, number, number, number, number
        )
    };
    let text = (1..=trades).map(|number| trade(number * 7_919)).collect::<Vec<_>>().join(",");
    if trades == 1 { text } else { format!("[{text}]") }
}
