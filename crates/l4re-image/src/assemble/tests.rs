//! Parts of native assembly on small inputs; whole images are compared in `tests/native.rs`.

use std::collections::BTreeMap;

use super::payload::{Entry, Form, lay_out};
use super::remember::{Made, Memory, Prepared};
use super::{elf, pe};
use crate::image::sample::Sample;

fn entry(name: &str, size: u64) -> Entry {
    let attributes = BTreeMap::from([("nodes".to_owned(), "0".to_owned())]);
    Entry {
        flags: 0,
        name: name.to_owned(),
        cmdline: name.to_owned(),
        size,
        unpacked: size,
        md5: "0".repeat(32),
        attributes,
    }
}

#[test]
fn modules_start_at_pages_and_sizes_have_limits() {
    let form = Form { version: 2, page: 4096, file_offset: 0x123 };
    let attributes = BTreeMap::from([("l4i:PT".to_owned(), "pc".to_owned())]);
    let entries = [entry("a", 1), entry("b", 4096), entry("c", 0)];
    let payload = lay_out(form, &attributes, "bootstrap", &entries).unwrap();
    assert_eq!(payload.starts, [4096, 8192, 12288]);
    assert_eq!(payload.end, 12288);
    assert!(payload.front.starts_with(b"ATTR\x80\x06\x02l4i:PTpc\0ATTR"));
    assert_eq!((payload.header + form.file_offset) % 8, 0, "aligned in the file");
    assert!(lay_out(form, &attributes, "b", &[entry("large", 1 << 32)]).is_none());
    let long = BTreeMap::from([("k".to_owned(), "v".repeat(300))]);
    let payload = lay_out(form, &long, "b", &[]).unwrap();
    assert!(payload.front.starts_with(b"ATTR\x84\x01\x2c\x01kvvv"));
}

#[test]
fn damaged_base_images_are_refused_not_followed() {
    let sample = Sample::new(1);
    let (efi, elf) = (sample.pe(0x8664), sample.elf64(62));
    for at in (0..0x200).chain([efi.len(), elf.len()]) {
        for flip in [0xff, 0x80, 0x01] {
            let mut broken = [efi.clone(), elf.clone()];
            for bytes in &mut broken {
                match bytes.get_mut(at) {
                    Some(byte) => *byte ^= flip,
                    None => bytes.truncate(at / 2),
                }
            }
            // A frame or none, and no panic.
            let _ = pe::frame(&broken[0], 0x2000, 0x5000);
            let _ = elf::frame(&broken[1], 0x2000, 0x5000);
        }
    }
    assert!(pe::frame(&efi, 0x2000, u64::from(u32::MAX)).is_none());
    assert!(elf::frame(&elf, 0x2000, u64::MAX).is_none());
}

#[test]
fn memory_holds_for_that_very_file() {
    let dir = camino_tempfile::tempdir().unwrap();
    let memory = Memory::of_tree(dir.path()).unwrap();
    let file = dir.path().join("module");
    let ask = |expect_made: bool, objcopy: Option<&str>| {
        let mut made = false;
        let prepared =
            memory.prepared(&file, objcopy.unwrap_or_default(), objcopy.is_some(), |target| {
                made = true;
                fs_err::write(target, "stripped").unwrap();
                Ok(Made { file: target.to_owned(), unpacked: None })
            });
        assert_eq!(made, expect_made);
        let prepared: Prepared = prepared.unwrap();
        assert_eq!(prepared.md5, (!made).then(|| "1".repeat(32)));
        prepared.finish(&"1".repeat(32)).unwrap();
        let kept = prepared.file;
        assert_eq!(fs_err::read(&kept).unwrap(), b"stripped");
        kept
    };
    let age = |seconds| {
        let time = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    };
    fs_err::write(&file, "one").unwrap();
    ask(true, Some("objcopy"));
    ask(true, Some("objcopy")); // Too young to be told from a later change.
    age(60);
    ask(true, Some("objcopy"));
    let kept = ask(false, Some("objcopy"));
    ask(true, Some("other-objcopy"));
    age(30);
    ask(true, Some("objcopy"));
    ask(false, Some("objcopy"));
    ask(true, None);
    ask(true, None);
    fs_err::write(kept, "longer than it was").unwrap();
    ask(true, Some("objcopy"));
    age(10);
    let prepared = memory
        .prepared(&file, "", false, |_| Ok(Made { file: file.clone(), unpacked: None }))
        .unwrap();
    fs_err::write(&file, "two").unwrap();
    assert!(prepared.finish("").is_err(), "it changed while it was read");
}
