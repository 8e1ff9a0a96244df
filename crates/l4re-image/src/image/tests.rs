//! Images of all forms, sound and broken: what is read from them, and that no broken one does
//! worse than an error with field and offset.

use std::os::unix::fs::FileExt;

use camino::Utf8PathBuf;
use proptest::prelude::*;

use super::sample::Sample;
use super::{CheckName, Image, ImageError, Inspection, ModuleKind, Verdict};
use super::{Difference, ExtractError, diff, extract, inspect, inspect_headers};
use crate::arch::{Arch, Kind};

/// A folder with a file whose contents change from case to case.
struct Bench {
    _dir: camino_tempfile::Utf8TempDir,
    path: Utf8PathBuf,
}

impl Bench {
    fn new() -> Self {
        let dir = camino_tempfile::tempdir().unwrap();
        let path = dir.path().join("image");
        Self { _dir: dir, path }
    }

    fn inspect(&self, bytes: &[u8]) -> Result<Inspection, ImageError> {
        fs_err::write(&self.path, bytes).unwrap();
        inspect(&self.path)
    }
}

/// Each form with the architecture and kind that must come out.
fn forms() -> Vec<(&'static str, Vec<u8>, Arch, Kind)> {
    let v1 = Sample { version: 1, ..Sample::new(1) };
    vec![
        ("pe amd64", Sample::new(1).pe(0x8664), Arch::X86_64, Kind::Efi),
        ("pe arm64", Sample::new(3).pe(0xaa64), Arch::Arm64, Kind::Efi),
        ("pe version 1", v1.pe(0x8664), Arch::X86_64, Kind::Efi),
        ("elf64", Sample::new(3).elf64(183), Arch::Arm64, Kind::Elf),
        ("elf32", Sample::new(2).elf32(40), Arch::Arm, Kind::Elf),
        ("wrapped", Sample::new(1).wrapped(), Arch::X86_64, Kind::Elf),
    ]
}

#[test]
fn sound_images_of_all_forms() {
    let bench = Bench::new();
    for (form, bytes, arch, kind) in forms() {
        let seen = bench.inspect(&bytes).unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!((seen.arch, seen.kind, seen.size), (arch, kind, bytes.len() as u64), "{form}");
        assert_eq!(seen.wrapped, form == "wrapped");
        assert_eq!(seen.platform.as_deref(), Some("pc"), "{form}");
        assert_eq!(seen.cmdline.as_deref(), Some("bootstrap -modaddr=0x01100000"), "{form}");
        let failed: Vec<_> = seen.failed().collect();
        assert!(failed.is_empty(), "{form}: {failed:?}");
        let module = &seen.modules[0];
        assert_eq!(module.kind, ModuleKind::Kernel, "{form}");
        assert_eq!(module.cmdline, "fiasco -serial_esc", "{form}");
        let at = usize::try_from(module.file_offset).unwrap();
        assert!(bytes[at..].starts_with(b"kernel\0"), "{form}");
        let arm = matches!(arch, Arch::Arm | Arch::Arm64);
        assert_eq!(seen.wants_el2, arm.then_some(true), "{form}");
        let image = Image::open(&bench.path).unwrap();
        assert_eq!(Some(image.sha256), seen.sha256, "{form}");
    }
}

/// Where the module data of a form is: flipping there changes contents, not structure.
fn structure_end(bench: &Bench, bytes: &[u8]) -> usize {
    usize::try_from(bench.inspect(bytes).unwrap().modules[0].file_offset).unwrap()
}

#[test]
fn no_flipped_byte_does_worse_than_an_error() {
    let bench = Bench::new();
    for (form, bytes, ..) in forms() {
        let end = structure_end(&bench, &bytes);
        let file = std::fs::OpenOptions::new().write(true).open(&bench.path).unwrap();
        for (at, byte) in bytes[..end].iter().enumerate() {
            for flip in [0xff, 0x01, 0x80] {
                file.write_all_at(&[byte ^ flip], at as u64).unwrap();
                // An error, a verdict, or (padding, unused fields) nothing: never a panic.
                if let Err(error) = inspect_headers(&bench.path) {
                    assert!(located(&error), "{form} at {at:#x}: {error}");
                }
            }
            file.write_all_at(&[*byte], at as u64).unwrap();
        }
    }
}

/// Whether an error says where; files that are no images at all say what they look like.
fn located(error: &ImageError) -> bool {
    match error {
        ImageError::Truncated { field, .. }
        | ImageError::BadField { field, .. }
        | ImageError::UnsupportedMachine { field, .. } => !field.is_empty(),
        ImageError::NotAnImage { looks_like, .. } => !looks_like.is_empty(),
        ImageError::NotFound { .. } | ImageError::Read { .. } => false,
    }
}

#[test]
fn every_cut_is_an_error() {
    let bench = Bench::new();
    for (form, bytes, ..) in forms() {
        let end = structure_end(&bench, &bytes);
        // Every length up to the modules, then some in each of them.
        let lengths = (0..end).chain((end..bytes.len()).step_by(997)).chain([bytes.len() - 1]);
        let mut lengths: Vec<_> = lengths.collect();
        lengths.sort_unstable();
        let file = std::fs::OpenOptions::new().write(true).open(&bench.path).unwrap();
        for len in lengths.into_iter().rev() {
            file.set_len(len as u64).unwrap();
            let error = inspect_headers(&bench.path).expect_err(form);
            assert!(located(&error), "{form} cut to {len}: {error}");
        }
    }
}

/// Fields that state sizes, places, counts and magic numbers: form, name, offset, width.
const FIELDS: [(&str, &str, usize, usize); 26] = [
    ("pe amd64", "e_lfanew", 0x3c, 4),
    ("pe amd64", "PE signature", 64, 4),
    ("pe amd64", "Machine", 68, 2),
    ("pe amd64", "NumberOfSections", 70, 2),
    ("pe amd64", "SizeOfOptionalHeader", 84, 2),
    ("pe amd64", "Magic", 88, 2),
    ("pe amd64", "Subsystem", 88 + 68, 2),
    ("pe amd64", "NumberOfRvaAndSizes", 88 + 108, 4),
    ("pe amd64", "section raw size", 328 + 16, 4),
    ("pe amd64", "section raw pointer", 328 + 20, 4),
    ("pe amd64", "section virtual address", 328 + 12, 4),
    ("elf64", "EI_CLASS", 4, 1),
    ("elf64", "EI_DATA", 5, 1),
    ("elf64", "EI_VERSION", 6, 1),
    ("elf64", "e_machine", 18, 2),
    ("elf64", "e_phoff", 0x20, 8),
    ("elf64", "e_phentsize", 0x36, 2),
    ("elf64", "e_phnum", 0x38, 2),
    ("elf64", "p_offset", 64 + 8, 8),
    ("elf64", "p_filesz", 64 + 32, 8),
    ("elf32", "e_phoff", 0x1c, 4),
    ("elf32", "p_filesz", 52 + 16, 4),
    ("wrapped", "e_shoff", 0x20, 4),
    ("wrapped", "e_shentsize", 0x2e, 2),
    ("wrapped", "e_shstrndx", 0x32, 2),
    ("wrapped", "sh_size of .data.elf64", 0x100 + 40 + 20, 4),
];

#[test]
fn every_grown_field_is_found() {
    let bench = Bench::new();
    for (form, name, offset, width) in FIELDS {
        let bytes = forms().into_iter().find(|(f, ..)| *f == form).unwrap().1;
        let mut broken = bytes.clone();
        broken[offset..offset + width].fill(0xff);
        assert_found(&bench, &broken, &format!("{form} {name}"));
    }
}

/// Fields of L4Re's structures, found by their magic: magic, name, offset from it, width.
const L4RE_FIELDS: [(&[u8], &str, usize, usize); 17] = [
    (b"<< L4Re Bootstrap", "version", 36, 4),
    (b"<< L4Re Bootstrap", "flags", 40, 8),
    (b"<< L4Re Bootstrap", "start", 48, 8),
    (b"<< L4Re Bootstrap", "module header", 80, 8),
    (b"<< L4Re Bootstrap", "attributes", 88, 8),
    (b"<< L4Re-bootstrap-modinfo-hdr", "magic", 0, 8),
    (b"<< L4Re-bootstrap-modinfo-hdr", "count", 32, 4),
    (b"<< L4Re-bootstrap-modinfo-hdr", "command line", 40, 8),
    (b"<< L4Re-bootstrap-modinfo-hdr", "table", 48, 8),
    (b"<< L4Re-bootstrap-modinfo-mod", "magic", 0, 8),
    (b"<< L4Re-bootstrap-modinfo-mod", "flags", 32, 8),
    (b"<< L4Re-bootstrap-modinfo-mod", "start", 40, 8),
    (b"<< L4Re-bootstrap-modinfo-mod", "size", 48, 4),
    (b"<< L4Re-bootstrap-modinfo-mod", "size uncompressed", 52, 4),
    (b"<< L4Re-bootstrap-modinfo-mod", "MD5", 72, 8),
    (b"<< L4Re-bootstrap-modinfo-mod", "uncompressed MD5", 80, 8),
    (b"ATTR\x80\x06", "attribute type", 4, 1),
];

#[test]
fn every_grown_field_of_l4re_is_found() {
    let bench = Bench::new();
    for (form, bytes, ..) in forms().into_iter().filter(|(form, ..)| *form != "pe version 1") {
        for (magic, name, offset, width) in L4RE_FIELDS {
            let at = bytes.windows(magic.len()).position(|w| w == magic).unwrap() + offset;
            let mut broken = bytes.clone();
            broken[at..at + width].fill(0xff);
            assert_found(&bench, &broken, &format!("{form} {name}"));
            if name == "attribute type" {
                // Without its top bit it ends the list, as it should.
                continue;
            }
            // Large, but not so large that an addition would overflow.
            broken[at..at + width].fill(0x7f);
            assert_found(&bench, &broken, &format!("{form} {name}"));
        }
    }
}

/// An error that says where, or a check that fails.
fn assert_found(bench: &Bench, bytes: &[u8], case: &str) {
    match bench.inspect(bytes) {
        Err(error) => assert!(located(&error), "{case}: {error}"),
        Ok(seen) => assert!(seen.failed().next().is_some() || seen.info.is_none(), "{case}"),
    }
}

#[test]
fn an_image_of_somebody_else() {
    let bench = Bench::new();
    let mut bytes = Sample::new(1).pe(0x8664);
    let at = bytes.windows(8).position(|w| w == b"<< L4Re ").unwrap();
    bytes[at] = b'?';
    let seen = bench.inspect(&bytes).unwrap();
    assert!(seen.info.is_none() && seen.modules.is_empty() && seen.failed().next().is_none());
    let parts = seen.checks.iter().find(|check| check.name == CheckName::Parts).unwrap();
    assert_eq!((parts.verdict, parts.detail.as_str()), (Verdict::Skip, "no L4Re image info"));
}

#[test]
fn missing_parts_and_wrong_sums_are_verdicts() {
    let bench = Bench::new();
    let mut sample = Sample::new(1);
    sample.modules.remove(1);
    let seen = bench.inspect(&sample.pe(0x8664)).unwrap();
    assert_eq!(seen.failed().next().unwrap().detail, "no sigma0");

    sample.modules.retain(|module| module.1 == "fiasco");
    let seen = bench.inspect(&sample.pe(0x8664)).unwrap();
    assert!(seen.failed().next().is_none());
    let parts = seen.checks.iter().find(|check| check.name == CheckName::Parts).unwrap();
    assert_eq!(parts.verdict, Verdict::Warn, "{}", parts.detail);

    let mut bytes = Sample::new(1).pe(0x8664);
    *bytes.last_mut().unwrap() ^= 1;
    let seen = bench.inspect(&bytes).unwrap();
    assert!(seen.failed().next().unwrap().detail.starts_with("module hello: its MD5 is"));
    assert!(inspect_headers(&bench.path).unwrap().failed().next().is_none());
}

#[test]
fn files_that_cannot_be_read() {
    let bench = Bench::new();
    let missing = inspect(&bench.path).unwrap_err();
    assert!(matches!(missing, ImageError::NotFound { .. }));
    let folder = inspect(bench.path.parent().unwrap()).unwrap_err();
    assert!(folder.to_string().ends_with("it looks like a folder"));
    let text = bench.inspect(b"<html>404</html>").unwrap_err();
    assert!(text.to_string().contains("an HTML page"));
}

#[test]
fn a_string_budget_bounds_memory() {
    // 20,000 modules whose name offset points at the same long string.
    let bench = Bench::new();
    let mut sample = Sample::new(3);
    let first = sample.modules[0].clone();
    sample.modules = vec![(0, "x", "y", Vec::new()); 20_000];
    sample.modules.insert(0, first);
    let mut bytes = sample.elf64(183);
    // Remove every string end between the table and the first module.
    let magic: &[u8] = b"<< L4Re-bootstrap-modinfo-hdr";
    let header = bytes.windows(magic.len()).position(|w| w == magic).unwrap();
    let strings = header + 56 + sample.modules.len() * 96;
    let end = strings + 20_000 * 40;
    bytes[strings..end].iter_mut().filter(|b| **b == 0).for_each(|b| *b = b'.');
    let error = bench.inspect(&bytes).unwrap_err();
    assert!(error.to_string().contains("more than the file holds"), "{error}");
}

/// The sample with its last module compressed, as l4image does it: both sums are those of the
/// unpacked bytes.
fn with_gzip(bytes: &[u8], unpacked: u32) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    let packed = encoder.finish().unwrap();
    let mut sample = Sample::new(1);
    sample.modules[3].3 = packed;
    let mut image = sample.pe(0x8664);
    let magic: &[u8] = b"<< L4Re-bootstrap-modinfo-mod";
    let at = image.windows(magic.len()).rposition(|w| w == magic).unwrap();
    image[at + 52..at + 56].copy_from_slice(&unpacked.to_le_bytes());
    let sum = hex::encode(<md5::Md5 as md5::Digest>::digest(bytes));
    let old = hex::encode(<md5::Md5 as md5::Digest>::digest(&sample.modules[3].3));
    while let Some(at) = image.windows(32).position(|w| w == old.as_bytes()) {
        image[at..at + 32].copy_from_slice(sum.as_bytes());
    }
    image
}

#[test]
fn compressed_modules() {
    let bench = Bench::new();
    let bytes = b"all work and no play ".repeat(1000);
    let seen = bench.inspect(&with_gzip(&bytes, 21_000)).unwrap();
    assert!(seen.failed().next().is_none(), "{:?}", seen.checks);
    let dir = bench.path.with_file_name("out");
    extract(&bench.path, &dir).unwrap();
    assert_eq!(fs_err::read(dir.join("hello")).unwrap(), bytes);
    let list = fs_err::read_to_string(dir.join("modules.list")).unwrap();
    assert!(list.ends_with("roottask moe --init=rom/hello\nmodule[compress] hello\n"), "{list}");
    // A bomb: it unpacks to more than stated.
    let seen = bench.inspect(&with_gzip(&bytes, 20_999)).unwrap();
    assert!(seen.failed().next().unwrap().detail.contains("another size than 20999"));
    assert!(matches!(extract(&bench.path, &dir), Err(ExtractError::Unpack { .. })));
}

#[test]
fn extraction_stays_in_its_folder() {
    let bench = Bench::new();
    let dir = bench.path.with_file_name("out");
    let case = |name: &'static str, other: &'static str| {
        let mut sample = Sample::new(1);
        sample.modules[3].1 = name;
        sample.modules[2].1 = other;
        fs_err::write(&bench.path, sample.elf64(62)).unwrap();
        extract(&bench.path, &dir)
    };
    for name in ["../evil", "/etc/evil", "..", "", "a/b", "new\nline"] {
        assert!(matches!(case(name, "moe"), Err(ExtractError::Name { index: 3, .. })), "{name}");
    }
    assert!(matches!(case("moe", "moe"), Err(ExtractError::Twice { .. })));
    assert!(matches!(case("modules.list", "moe"), Err(ExtractError::Twice { .. })));
    assert!(!dir.exists());
    let written = case("hello", "moe").unwrap();
    assert_eq!(written.len(), 5);
    assert_eq!(fs_err::read(dir.join("sigma0")).unwrap(), vec![7; 4100]);
}

#[test]
fn differences_by_module() {
    let bench = Bench::new();
    let first = bench.inspect(&Sample::new(1).pe(0x8664)).unwrap();
    assert_eq!(diff(&first, &first), []);
    let mut sample = Sample::new(1);
    sample.modules[2].2 = "moe --other";
    sample.modules[3] = (0, "new", "new", vec![9; 10]);
    let second = bench.inspect(&sample.pe(0x8664)).unwrap();
    let differences = diff(&first, &second);
    assert!(
        matches!(
            &differences[..],
            [
                Difference::Module { name: changed, changes },
                Difference::Removed { name: removed, index: 3 },
                Difference::Added { name: added, index: 3 },
            ] if changed == "moe" && changes[0].field == "command line" && changes.len() == 1
                && removed == "hello" && added == "new"
        ),
        "{differences:?}"
    );
}

#[test]
fn another_bootstrapper_is_a_difference() {
    let bench = Bench::new();
    for (form, bytes, ..) in forms() {
        let first = bench.inspect(&bytes).unwrap();
        let mut other = bytes;
        // In front of the image info, where the bootstrapper's own code is.
        let info = usize::try_from(first.info.as_ref().unwrap().file_offset).unwrap();
        other[info - 1] ^= 1;
        let differences = diff(&first, &bench.inspect(&other).unwrap());
        let [Difference::Image(change)] = &differences[..] else {
            panic!("{form}: {differences:?}")
        };
        assert_eq!(change.field, "SHA-256 of the bootstrapper", "{form}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_damage(
        form in 0..6_usize,
        damage in prop::collection::vec((0..4096_usize, any::<u8>()), 1..8),
        cut in prop::option::of(0..8192_usize),
    ) {
        let bench = Bench::new();
        let mut bytes = forms().swap_remove(form).1;
        for (at, value) in damage {
            bytes[at] = value;
        }
        bytes.truncate(cut.unwrap_or(bytes.len()));
        if let Err(error) = bench.inspect(&bytes) {
            prop_assert!(located(&error), "{}", error);
        }
    }
}
