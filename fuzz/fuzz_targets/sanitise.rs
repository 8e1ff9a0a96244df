//! Fuzzes what of a console reaches a terminal.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| l4re_console::fuzzing::sanitise(bytes));
