//! Fuzzes disks with a GUID partition table.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| l4re_image::fuzzing::gpt(bytes));
