//! Disks as others see them: partition and file system checkers that we did not write, and
//! firmware in QEMU that starts the image. For the EFI images of `hello` that `L4RE_IMAGES`
//! names (with `:` between); `cargo xtask test` runs this where it does. Disks of the demo tree
//! boot in the end-to-end tests.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use l4re_image::{Arch, DiskOptions, Image, write_disk};

type Failure = Box<dyn Error>;

/// What the program says that the images start, once a second.
const GREETING: &str = "Hello World!";
/// Emulation on a busy machine: the firmware alone takes ten seconds on an idle one.
const DEADLINE: Duration = Duration::from_secs(180);

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment what to test")]
fn images() -> Result<Vec<Image>, Failure> {
    let paths = std::env::var("L4RE_IMAGES").unwrap_or_default();
    let paths = paths.split(':').filter(|path| !path.is_empty());
    paths.map(|path| Ok(Image::open(Utf8Path::new(path))?)).collect()
}

#[test]
#[ignore = "needs EFI images of hello: L4RE_IMAGES=A:B"]
fn disks_are_sound_and_boot() {
    let images = images().unwrap();
    assert!(!images.is_empty(), "L4RE_IMAGES names no image");
    for image in images {
        let dir = camino_tempfile::tempdir().unwrap();
        let disk = write_disk(&dir.path().join("disk"), &image, &DiskOptions::default()).unwrap();
        sound(&disk.path, &disk.files[0], &image).unwrap();
        let console = boot(&disk.path, image.arch, dir.path()).unwrap();
        assert!(console.contains(GREETING), "{}: {console}", image.path);
        println!("{}: {GREETING}", image.path);
    }
}

/// Has the disk checked, and the image read from it.
fn sound(disk: &Utf8Path, file: &str, image: &Image) -> Result<(), Failure> {
    let table = duct::cmd!("sgdisk", "--verify", disk.as_str()).stderr_to_stdout().read()?;
    assert!(table.contains("No problems found."), "{table}");
    let partition = disk.with_extension("fat");
    let size = fs_err::metadata(disk)?.len();
    let mut from = fs_err::File::open(disk)?;
    io::Seek::seek(&mut from, io::SeekFrom::Start(1 << 20))?;
    let mut to = fs_err::File::create(&partition)?;
    io::copy(&mut io::Read::take(from, size - (2 << 20)), &mut to)?;
    let system = duct::cmd!("fsck.fat", "-n", partition.as_str()).stderr_to_stdout();
    let system = system.stdout_capture().unchecked().run()?;
    assert!(system.status.success(), "{}", String::from_utf8_lossy(&system.stdout));
    let copy = disk.with_extension("efi");
    let from = format!("::/{file}");
    duct::cmd!("mcopy", "-i", partition.as_str(), from, copy.as_str()).run()?;
    assert!(fs_err::read(copy)? == fs_err::read(&image.path)?);
    Ok(fs_err::remove_file(partition)?)
}

/// The machine's files: firmware, an empty variable store, and where its console goes.
fn machine(arch: Arch, dir: &Utf8Path) -> io::Result<(&'static str, Vec<String>, Utf8PathBuf)> {
    let (program, machine, processor, firmware) = match arch {
        Arch::X86_64 => ("qemu-system-x86_64", "q35", "max", "OVMF/OVMF"),
        Arch::Arm64 => (
            "qemu-system-aarch64",
            "virt,gic-version=3,virtualization=on",
            "neoverse-n1",
            "AAVMF/AAVMF",
        ),
        arch => panic!("no machine for {arch}"),
    };
    let variables = dir.join("vars.fd");
    fs_err::copy(format!("/usr/share/{firmware}_VARS.fd"), &variables)?;
    let console = dir.join("console");
    let code = format!("/usr/share/{firmware}_CODE.fd");
    let args = [
        format!("-machine {machine} -accel tcg -cpu {processor} -m 1024 -nodefaults"),
        "-display none -no-reboot".to_owned(),
        format!("-drive if=pflash,format=raw,readonly=on,file={code}"),
        format!("-drive if=pflash,format=raw,file={variables}"),
        format!("-serial file:{console}"),
    ];
    let words = args.iter().flat_map(|part| part.split(' ')).map(ToOwned::to_owned).collect();
    Ok((program, words, console))
}

/// What a machine with this disk says until the greeting, the deadline, or its end.
fn boot(disk: &Utf8Path, arch: Arch, dir: &Utf8Path) -> io::Result<String> {
    let (program, mut args, console) = machine(arch, dir)?;
    let drive = format!("if=none,id=disk,format=raw,readonly=on,file={disk}");
    args.extend(["-drive", &drive, "-device", "virtio-blk-pci,drive=disk"].map(ToOwned::to_owned));
    let handle = duct::cmd(program, args).stdin_null().unchecked().start()?;
    let started = Instant::now();
    let text = || fs_err::read(&console).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    while started.elapsed() < DEADLINE && handle.try_wait()?.is_none() {
        if text().is_ok_and(|text| text.contains(GREETING)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    handle.kill()?;
    handle.wait()?;
    text()
}
