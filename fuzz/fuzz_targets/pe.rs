//! Fuzzes PE files, as images and as base images.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| l4re_image::fuzzing::pe(bytes));
