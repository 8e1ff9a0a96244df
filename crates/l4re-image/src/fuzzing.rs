//! What fuzz targets call (`fuzz/` at the root), and the test that runs their corpora.
//!
//! Invariant: no function here panics, hangs, or takes memory beyond proportion, whatever the
//! bytes. Not part of the crate's interface.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::image::sample::Sample;
use crate::image::{HEADER_MAGIC, INFO_MAGIC, MODULE_MAGIC};
use crate::modlist::{Evaluation, Source, evaluate};
use crate::{Image, diff, inspect, inspect_headers};

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 8] = [
    ("pe", pe),
    ("elf", elf),
    ("info", info),
    ("modules", modules),
    ("attributes", attributes),
    ("list", list),
    ("gpt", gpt),
    ("gzip", gzip),
];

thread_local! {
    /// A file in memory for the bytes, since images are read from files.
    static SCRATCH: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Calls `read` with the path of a file with these bytes.
fn in_file(bytes: &[u8], read: impl FnOnce(&Utf8Path)) -> io::Result<()> {
    SCRATCH.with_borrow_mut(|scratch| {
        let file = match scratch {
            Some(file) => file,
            None => scratch.insert(memfd_create("bytes", MemfdFlags::CLOEXEC)?.into()),
        };
        file.set_len(0)?;
        file.write_all_at(bytes, 0)?;
        let path = Utf8PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        read(&path);
        Ok(())
    })
}

/// All that reads images.
fn image(bytes: &[u8]) {
    let read = in_file(bytes, |path| {
        let headers = inspect_headers(path);
        if let Ok(whole) = inspect(path) {
            assert!(headers.is_ok(), "its headers are less than all of it");
            assert!(diff(&whole, &whole).is_empty());
            assert!(Image::open(path).is_ok());
        }
    });
    assert!(read.is_ok());
}

/// A PE file, also as a base image.
pub fn pe(bytes: &[u8]) {
    image(bytes);
    crate::assemble::fuzz_pe(bytes);
}

/// An ELF file, also as a base image and as a program with libraries.
pub fn elf(bytes: &[u8]) {
    image(bytes);
    crate::assemble::fuzz_elf(bytes);
    let read = in_file(bytes, crate::assemble::fuzz_needs);
    assert!(read.is_ok());
}

/// What follows the mark of the image info.
pub fn info(bytes: &[u8]) {
    behind(INFO_MAGIC, bytes);
}

/// What follows the mark of the module header.
pub fn modules(bytes: &[u8]) {
    behind(HEADER_MAGIC, bytes);
}

/// What follows the mark of the attributes.
pub fn attributes(bytes: &[u8]) {
    behind(b"ATTR", bytes);
}

/// Sound images but for the bytes behind a mark.
fn behind(mark: &[u8], bytes: &[u8]) {
    let sample = Sample::new(1);
    let files = [sample.pe(0x8664), sample.elf64(62), sample.elf32(3), sample.wrapped()];
    for mut file in files {
        let Some(at) = file.windows(mark.len()).position(|window| window == mark) else { return };
        let at = at + mark.len();
        let end = file.len().min(at.saturating_add(bytes.len()));
        file[at..end].copy_from_slice(&bytes[..end - at]);
        image(&file);
    }
}

/// A disk with a GUID partition table, as it is and with sums that are right.
pub fn gpt(bytes: &[u8]) {
    for disk in [bytes.to_vec(), crate::disk::with_sums(bytes.to_vec())] {
        let read = in_file(&disk, |path| {
            if let Ok(Some(table)) = crate::read_disk(path) {
                assert!(table.partitions.iter().all(|p| p.start + p.size <= table.size));
            }
        });
        assert!(read.is_ok());
    }
}

/// A compressed module: how large it is to be when unpacked, and its bytes; looked at and
/// unpacked.
pub fn gzip(bytes: &[u8]) {
    let Some((size, packed)) = bytes.split_at_checked(2) else { return };
    let size = u32::from(size[0]) << 8 | u32::from(size[1]);
    let mut sample = Sample::new(1);
    sample.modules[3].3 = packed.to_vec();
    let mut file = sample.elf64(62);
    let Some(at) = file.windows(MODULE_MAGIC.len()).rposition(|window| window == MODULE_MAGIC)
    else {
        return;
    };
    // Behind magic, flags, start and size.
    file[at + 52..at + 56].copy_from_slice(&size.to_le_bytes());
    let read = in_file(&file, |path| {
        assert!(inspect(path).is_ok(), "its headers are sound");
        let name = format!("l4re-fuzz-{}", std::process::id());
        // Files of a few KiB, in memory where the system has that.
        let folder = Utf8Path::new("/dev/shm").join(name);
        let unpacked = crate::extract(path, &folder);
        assert!(unpacked.is_err() || folder.join("hello").is_file());
    });
    assert!(read.is_ok());
}

/// A module list.
pub fn list(bytes: &[u8]) {
    // Whatever is included here would be this machine's.
    if bytes.windows(7).any(|word| word.eq_ignore_ascii_case(b"include")) {
        return;
    }
    let read = in_file(bytes, |path| {
        let variables = BTreeMap::from([("ARCH", "amd64".to_owned())]);
        let Ok(source) = Source::read(path, &variables) else { return };
        for entry in ["hello", "a", ""] {
            let folder = Utf8Path::new("/nowhere");
            let evaluation = Evaluation { entry, arch: "amd64", bits: "64", folder };
            // An entry or a reason.
            let _ = evaluate(&source, &evaluation);
        }
    });
    assert!(read.is_ok());
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn corpora_do_no_harm() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        for (name, target) in TARGETS {
            let mut count = 0;
            for entry in root.join(name).read_dir_utf8().unwrap() {
                target(&fs_err::read(entry.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no corpus");
        }
    }

    #[test]
    #[ignore = "writes the corpora's first files"]
    fn seeds() {
        let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
        let write = |target: &str, name: &str, bytes: &[u8]| {
            fs_err::create_dir_all(root.join(target)).unwrap();
            fs_err::write(root.join(target).join(name), bytes).unwrap();
        };
        let mut sample = Sample::new(1);
        for version in [2, 1] {
            sample.version = version;
            let (efi, elf) = (sample.pe(0x8664), sample.elf64(62));
            write("pe", &format!("version-{version}"), &efi);
            write("elf", &format!("version-{version}"), &elf);
            let behind = |mark: &[u8], len: usize| {
                let at = efi.windows(mark.len()).position(|window| window == mark).unwrap();
                let at = at + mark.len();
                efi[at..efi.len().min(at + len)].to_vec()
            };
            write("info", &format!("version-{version}"), &behind(INFO_MAGIC, 64));
            write("modules", &format!("version-{version}"), &behind(HEADER_MAGIC, 512));
            write("attributes", &format!("version-{version}"), &behind(b"ATTR", 128));
        }
        write("pe", "bare", &sample.pe(0xaa64)[..0x200]);
        write("elf", "bare", &sample.elf64(183)[..0x40]);
        let list =
            b"modaddr 0x2000000\ndefault-kernel fiasco -serial_esc\n\nentry[arch=amd64|arm64] \
                     hello\nroottask moe --init=rom/hello\nmodule[uncompress,attr:nodes=0] l4re\n\
                     module[fname=x] a/b c d\n\ngroup g\nmodule[perl] 1\n\nentry a\ngroup g\n\
                     bin[glob] *.so\nset x y\nsearchpath /a:/b\nmodule-group g\n";
        write("list", "grammar", list);
        write("gpt", "small", &crate::disk::small());
        let mut encoder = GzEncoder::new(vec![0, 40], Compression::default());
        encoder.write_all(b"all work and no play all work and no pla").unwrap();
        write("gzip", "small", &encoder.finish().unwrap());
    }
}
