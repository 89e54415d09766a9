//! The bad elements: one row for each way to break a rule, with the reason that must be named.

use rand::RngExt;
use rand::rngs::StdRng;

use super::fields::NAMES;

/// An element's fields in the contract's order: name and raw JSON.
pub(crate) type Fields = Vec<(&'static str, String)>;

const TOKEN: usize = 0;
const SIDE: usize = 2;
const NATIVE: usize = 3;
const AMOUNT: usize = 4;
const PRICE: usize = 5;
const TIME: usize = 6;

/// The field that is spoiled, what it says then, the reason.
const ROWS: &[(usize, &str, &str)] = &[
    (TOKEN, "null", "missing_field"),
    (TIME, r#""""#, "missing_field"),
    (TOKEN, "17", "invalid_token"),
    (TOKEN, r#"["a"]"#, "invalid_token"),
    (SIDE, r#""hold""#, "invalid_side"),
    (SIDE, r#""buyer""#, "invalid_side"),
    (SIDE, "1", "invalid_side"),
    (NATIVE, r#""-1""#, "invalid_amount"),
    (NATIVE, "-0.5", "invalid_amount"),
    (AMOUNT, r#""1,5""#, "invalid_amount"),
    (AMOUNT, "true", "invalid_amount"),
    (PRICE, r#""NaN""#, "invalid_amount"),
    (NATIVE, "1000000000000001", "out_of_range"),
    (AMOUNT, r#""1.1e18""#, "out_of_range"),
    (PRICE, r#""9e99""#, "out_of_range"),
    (TIME, r#""2025-01-08 10:30:00""#, "invalid_time"),
    (TIME, r#""yesterday""#, "invalid_time"),
    (TIME, "1736332200", "invalid_time"),
    (TIME, r#""9999-12-31T23:59:59Z""#, "future"),
];

/// What stands where a trade should.
const NO_TRADES: [&str; 4] = ["17", r#""trade""#, "null", "false"];

/// A bad element in place of a good one, and the reason.
pub(crate) fn spoil(rng: &mut StdRng, mut fields: Fields) -> (String, &'static str) {
    match rng.random_range(0..ROWS.len() + 4) {
        0 => (NO_TRADES[rng.random_range(0..NO_TRADES.len())].to_owned(), "not_a_trade"),
        1 => {
            fields.remove(rng.random_range(0..NAMES.len()));
            (object(&fields), "missing_field")
        }
        2 => {
            fields[TOKEN].1 = format!(r#""{}""#, "t".repeat(200));
            (object(&fields), "invalid_token")
        }
        3 => {
            // Each within its limit, their product not.
            fields[AMOUNT].1 = "1e12".to_owned();
            fields[PRICE].1 = r#""1e4""#.to_owned();
            (object(&fields), "out_of_range")
        }
        row => {
            let (field, value, reason) = ROWS[row - 4];
            fields[field].1 = value.to_owned();
            (object(&fields), reason)
        }
    }
}

/// A value that is no JSON to its last byte: nothing in it counts.
pub(crate) fn broken(rng: &mut StdRng, value: &str) -> Vec<u8> {
    let mut bytes = value.as_bytes().to_vec();
    match rng.random_range(0..3) {
        0 => bytes.truncate(value.len() - 1),
        1 => bytes.extend(b" and more"),
        _ => bytes[value.len() / 2] = 0xff,
    }
    bytes
}

/// A JSON object of these fields.
pub(crate) fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, json)| format!(r#""{name}":{json}"#)).collect();
    format!("{{{}}}", fields.join(","))
}
