//! Fuzzes ELF files, as images, base images and programs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| l4re_image::fuzzing::elf(bytes));
