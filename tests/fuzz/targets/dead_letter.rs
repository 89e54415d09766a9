//! Records whose elements become dead letters.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::dead_letter(data));
