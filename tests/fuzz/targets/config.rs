//! The layers of the configuration.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::config(data));
