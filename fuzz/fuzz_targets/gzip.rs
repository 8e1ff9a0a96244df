//! Fuzzes compressed modules of an image that is sound otherwise.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| l4re_image::fuzzing::gzip(bytes));
