//! The wire formats as other programs see them: golden files, laws over random input, and values
//! made to hurt.
#![cfg(test)]

mod aggregate;
mod checkpoint;
mod extended;
mod formats;
mod hostile;
mod members;
mod naive;
mod scan;
mod time;
mod trade;

use std::path::Path;

/// The inside of a valid trade: every field. A name that comes again behind it wins. In the golden
/// file `$` stands for it.
const VALID: &str = concat!(
    r#""Token":"So1","Wallet":"W","SellBuy":"buy","NativeAmount":"1.5","TokenAmount":"2","#,
    r#""PriceUsd":"0.25","TransTime":"2025-01-08T10:30:00Z","TxHash":"X""#
);

/// Compares with `tests/golden/<name>`. What was made instead is left beside the test binaries,
/// to look at and, where it is right, to take over.
fn assert_golden(name: &str, made: &[u8]) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let expected = std::fs::read(&golden).unwrap_or_default();
    if expected != made {
        let other = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&other, made).expect("the target directory takes files");
        panic!("{} differs from {}", other.display(), golden.display());
    }
}
