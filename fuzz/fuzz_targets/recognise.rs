//! Fuzzes what is recognised of a boot.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| l4re_console::fuzzing::recognise(bytes));
