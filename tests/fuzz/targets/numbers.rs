//! Amounts, prices, times and durations.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::numbers(data));
