//! Checkpoint entries, with and without a right checksum.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::checkpoint(data));
