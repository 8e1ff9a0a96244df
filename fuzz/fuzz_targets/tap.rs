//! Fuzzes what tests say on a console.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| l4re_console::fuzzing::tap(bytes));
