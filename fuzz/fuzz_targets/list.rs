//! Fuzzes module lists.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| l4re_image::fuzzing::list(bytes));
