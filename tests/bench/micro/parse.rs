//! A record's value to trades, and the steps of that: single objects and arrays of fifty, by the
//! scanner for usual values and by the general reader. A thousand different trades in turn, so
//! that no branch is learnt by heart; every figure is for one of them.

use std::fmt::Write;

use aggregator_service::domain::amount::Amount;
use aggregator_service::domain::price::Price;
use aggregator_service::domain::token::murmur2;
use aggregator_service::wire::time;
use aggregator_service::wire::trade::{Element, decode};
use aggregator_service::wire::trade_scan::Scanner;
use divan::{Bencher, black_box, counter::ItemsCount};

/// Different trades.
const TRADES: usize = 1_000;
/// Trades in a value.
const SIZES: [usize; 2] = [1, 50];
const LIMIT: u64 = 1_000_000_000_000_000;

#[divan::bench(args = SIZES)]
fn scan(bencher: Bencher, trades: usize) {
    scan_of(bencher, &values(trades, object));
}

/// Numbers as JSON numbers, as of Go's `float64` or serde's `f64`; keys sorted; blanks.
#[divan::bench(args = SIZES)]
fn scan_numbers_sorted_spaced(bencher: Bencher, trades: usize) {
    scan_of(bencher, &values(trades, object_of_numbers));
}

fn scan_of(bencher: Bencher, values: &[String]) {
    let mut scanner = Scanner::new();
    bencher.counter(ItemsCount::new(TRADES)).bench_local(|| {
        let mut read = 0;
        for value in black_box(values) {
            let usual = scanner.scan(value.as_bytes(), None, None, &mut |_, _, trade| {
                black_box(trade);
                read += 1;
            });
            assert!(usual);
        }
        assert_eq!(read, TRADES);
    });
}

#[divan::bench(args = SIZES)]
fn general(bencher: Bencher, trades: usize) {
    let values = values(trades, object);
    bencher.counter(ItemsCount::new(TRADES)).bench(|| {
        let mut read = 0;
        for value in black_box(&values) {
            decode(value.as_bytes(), None, &mut |element| {
                read += usize::from(matches!(black_box(element), Element::Trade { .. }));
            });
        }
        assert_eq!(read, TRADES);
    });
}

#[divan::bench]
fn amounts(bencher: Bencher) {
    let texts: Vec<_> = numbers().map(quantity).collect();
    each(bencher, &texts, |text| Amount::parse(text.as_bytes(), LIMIT));
}

#[divan::bench]
fn amounts_of_18_fractional_digits(bencher: Bencher) {
    let texts: Vec<_> = numbers().map(|number| format!("{number}.{number:0>18}")).collect();
    each(bencher, &texts, |text| Amount::parse(text.as_bytes(), LIMIT));
}

#[divan::bench]
fn prices(bencher: Bencher) {
    let texts: Vec<_> = numbers().map(price).collect();
    each(bencher, &texts, |text| Price::parse(text.as_bytes(), LIMIT));
}

#[divan::bench]
fn products(bencher: Bencher) {
    let parsed = |number| {
        let quantity = Amount::parse(quantity(number).as_bytes(), LIMIT).expect("an amount");
        (quantity, Price::parse(price(number).as_bytes(), LIMIT).expect("a price"))
    };
    let pairs: Vec<_> = numbers().map(parsed).collect();
    each(bencher, &pairs, |(quantity, price)| quantity.times(*price, LIMIT));
}

#[divan::bench]
fn times(bencher: Bencher) {
    let texts: Vec<_> = numbers().map(moment).collect();
    each(bencher, &texts, |text| time::parse(text));
}

#[divan::bench]
fn hashes(bencher: Bencher) {
    let tokens: Vec<_> = numbers().map(token).collect();
    each(bencher, &tokens, |token| murmur2(token.as_bytes()));
}

fn each<T: Sync, R>(bencher: Bencher, inputs: &[T], step: impl Fn(&T) -> R + Sync) {
    bencher.counter(ItemsCount::new(TRADES)).bench(|| {
        for input in black_box(inputs) {
            black_box(step(input));
        }
    });
}

/// All trades as values of so many each.
fn values(trades: usize, object: impl Fn(usize) -> String) -> Vec<String> {
    let objects: Vec<_> = numbers().map(object).collect();
    let value = |objects: &[String]| match objects {
        [single] => single.clone(),
        _ => format!("[{}]", objects.join(",")),
    };
    objects.chunks(trades).map(value).collect()
}

/// A trade as collectors write it, some 320 bytes.
fn object(number: usize) -> String {
    let mut text = String::new();
    write!(
        text,
        r#"{{"Token":"{}","Wallet":"{number:B>44}","SellBuy":"{}","#,
        token(number),
        if number.is_multiple_of(3) { "sell" } else { "buy" }
    )
    .expect("memory");
    write!(
        text,
        concat!(
            r#""NativeAmount":"0.{number:0>9}","TokenAmount":"{}","PriceUsd":"{}","#,
            r#""TransTime":"{}","TxHash":"{number:C>88}"}}"#
        ),
        quantity(number),
        price(number),
        moment(number),
        number = number
    )
    .expect("memory");
    text
}

fn object_of_numbers(number: usize) -> String {
    let mut text = String::new();
    write!(
        text,
        r#"{{"native_amount": 0.{number:0>9}, "price_usd": {}e-7, "sell_buy": "buy_exact_in", "#,
        price(number)
    )
    .expect("memory");
    write!(
        text,
        r#""token": "{}", "token_amount": {}, "trans_time": "{}", "tx_hash": "{number:C>88}", "#,
        token(number),
        quantity(number),
        moment(number)
    )
    .expect("memory");
    write!(text, r#""wallet": "{number:B>44}"}}"#).expect("memory");
    text
}

/// Numbers of four to seven digits in no order.
fn numbers() -> impl Iterator<Item = usize> {
    (1..=TRADES)
        .map(|number| (number * 7_919).wrapping_mul(2_654_435_761) % [9_973, 7_919_000][number % 2])
}

fn token(number: usize) -> String {
    format!("{number:A>40}pump")
}

fn quantity(number: usize) -> String {
    format!("{number}.{}", number * 31 % 100_003)
}

/// With as many digits as prices of today have.
fn price(number: usize) -> String {
    format!("0.0000{number}{}", number * 17 % 10_007)
}

fn moment(number: usize) -> String {
    let fraction = ["", ".25", ".123", ".123456789"][number % 4];
    format!(
        "2025-{:02}-{:02}T10:30:{:02}{fraction}Z",
        number % 12 + 1,
        number % 28 + 1,
        number % 60
    )
}
