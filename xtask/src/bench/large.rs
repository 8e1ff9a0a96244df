//! An image with 200 MiB of modules: the first time, when their sums must be computed, against
//! make; with the sums known, against `cp` of the image; and the peak of memory of both.
//!
//! `cp` is measured twice, since file systems treat a file that replaces another in a way of
//! their own (ext4 sends it to the disk at once, which doubles `cp`'s time): once both sides
//! write where nothing is, all parts of the image as they were; once both replace what they
//! wrote before, a small module having changed, so that the image has another sum. `make` is
//! met replacing.
//!
//! The 200 MiB are four modules, whose sums can be taken side by side; the first time is measured
//! with one module of that size, too, whose sum must come before the image's own.
//!
//! The files are random bytes and images of some 600 MiB, all in one folder below the target
//! directory, which goes when the measure ends. What was written is on the disk before a
//! clock starts, so that no side pays for the writing of another.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::Bench;
use super::outcome::Outcome;
use super::peak;
use super::sample::{Goal, alternate};
use crate::call::Call;
use crate::shell;

const FIRST: Goal = Goal {
    name: "large-first",
    tree: None,
    ours: "cargo l4re efiimage",
    theirs: "make efiimage",
    target: 0.5,
};
const ONE: Goal = Goal { name: "large-one-first", ..FIRST };
const KNOWN: Goal = Goal { name: "large-known", theirs: "cp", target: 2.0, ..FIRST };
const REPLACED: Goal = Goal { name: "large-replaced", theirs: "cp over a copy", ..KNOWN };
/// In MiB, whatever the image's size.
const FIRST_PEAK: Goal = Goal { name: "memory-first", theirs: "", target: 32.0, ..FIRST };
const KNOWN_PEAK: Goal = Goal { name: "memory-known", ..FIRST_PEAK };

const ROUNDS: u32 = 5;
const PEAK_ROUNDS: u32 = 3;
const ENTRY: &str = "large";
/// The bytes of the modules, written and copied in pieces of 1 MiB.
const PIECE: usize = 1024 * 1024;
const PIECES: usize = 200;
/// Among how many modules they are shared.
const MODULES: usize = 4;
/// How long ago the module seems to have been changed: what was changed just now could change
/// again with the same times, so nothing may remember it.
const AGE: Duration = Duration::from_secs(3600);

/// Measures all of it.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    let rounds = bench.rounds.unwrap_or(ROUNDS);
    let goal = |goal: Goal| Goal { tree: Some(bench.which), ..goal };
    let scene = Scene::set(bench, 1)?;
    let one = alternate(goal(ONE), rounds, || scene.first(), || scene.by_make())?;
    drop(scene);
    let scene = Scene::set(bench, MODULES)?;
    let first = alternate(goal(FIRST), rounds, || scene.first(), || scene.by_make())?;
    let known = alternate(goal(KNOWN), rounds, || scene.known_anew(), || scene.by_cp_anew())?;
    let replaced = alternate(goal(REPLACED), rounds, || scene.changed(), || scene.by_cp())?;
    let rounds = bench.rounds.unwrap_or(PEAK_ROUNDS);
    shell::status("Measuring", &format!("memory: {rounds} rounds"));
    let first_peak = peak::take(goal(FIRST_PEAK), rounds, || scene.first_peak())?;
    let known_peak = peak::take(goal(KNOWN_PEAK), rounds, || scene.known_peak())?;
    Ok(vec![
        Outcome::Ratio(first),
        Outcome::Ratio(one),
        Outcome::Ratio(known),
        Outcome::Ratio(replaced),
        Outcome::Peak(first_peak),
        Outcome::Peak(known_peak),
    ])
}

/// The files, and the calls that work on them.
struct Scene {
    folder: Folder,
    /// How many modules share the bytes.
    count: usize,
    binary: Utf8PathBuf,
    tree: Utf8PathBuf,
    python: Utf8PathBuf,
}

impl Scene {
    /// Writes the files. What is not built yet is built here, by make, so that neither side
    /// pays for it.
    fn set(bench: &Bench<'_>, count: usize) -> Result<Self> {
        let folder = Folder::new(bench.project.target.join("bench/large"))?;
        shell::status("Writing", &format!("{PIECES} MiB of random bytes into {}", folder.0));
        let mut state = 0x9e37_79b9_7f4a_7c15;
        for module in folder.modules(count) {
            write_noise(&module, PIECES / count, &mut state)?;
        }
        fs_err::write(folder.small(), "small")?;
        fs_err::write(folder.list(), list(&folder, count))?;
        let scene = Self {
            folder,
            count,
            binary: bench.binary.clone(),
            tree: bench.tree.clone(),
            python: bench.project.venv().join("bin/python"),
        };
        scene.make().time().context("making the image once")?;
        Ok(scene)
    }

    fn make(&self) -> Call {
        Call::new(make_argv(&self.tree, &self.folder))
    }

    fn ours(&self) -> Vec<String> {
        our_argv(&self.binary, &self.tree, &self.folder)
    }

    fn first(&self) -> Result<Duration> {
        self.renew()?;
        self.known()
    }

    fn known(&self) -> Result<Duration> {
        self.settle()?;
        let took = Call::new(self.ours()).time()?;
        let size = fs_err::metadata(self.folder.image())?.len();
        ensure!(size > (PIECE * PIECES) as u64, "an image of {size} bytes lacks its modules");
        Ok(took)
    }

    /// With another small module than before.
    fn changed(&self) -> Result<Duration> {
        let path = self.folder.small();
        let old = fs_err::read_to_string(&path)?;
        fs_err::write(&path, format!("{old}."))?;
        let age = AGE - Duration::from_millis(old.len() as u64);
        File::options().write(true).open(&path)?.set_modified(SystemTime::now() - age)?;
        self.known()
    }

    fn known_anew(&self) -> Result<Duration> {
        remove(&self.folder.image())?;
        self.known()
    }

    fn by_make(&self) -> Result<Duration> {
        self.renew()?;
        self.settle()?;
        self.make().time()
    }

    fn by_cp(&self) -> Result<Duration> {
        self.settle()?;
        Call::new(cp_argv(&self.folder)).time()
    }

    fn by_cp_anew(&self) -> Result<Duration> {
        remove(&self.folder.copy())?;
        self.by_cp()
    }

    fn first_peak(&self) -> Result<f64> {
        self.renew()?;
        self.known_peak()
    }

    fn known_peak(&self) -> Result<f64> {
        self.settle()?;
        peak::of(&self.python, &self.ours())
    }

    /// Puts other files with the same bytes in the modules' places: what is remembered about
    /// the old ones does not hold for them.
    fn renew(&self) -> Result<()> {
        let next = self.folder.0.join("module.next");
        for module in self.folder.modules(self.count) {
            fs_err::copy(&module, &next)?;
            let file = File::options().write(true).open(&next)?;
            file.set_modified(SystemTime::now() - AGE)?;
            file.sync_all()?;
            fs_err::rename(&next, &module)?;
        }
        Ok(())
    }

    /// Waits until both images are on the disk.
    fn settle(&self) -> Result<()> {
        for path in [self.folder.image(), self.folder.copy()] {
            if path.exists() {
                File::open(&path)?.sync_all()?;
            }
        }
        Ok(())
    }
}

/// Removes a file that may be there.
fn remove(path: &Utf8Path) -> std::io::Result<()> {
    if path.exists() { fs_err::remove_file(path) } else { Ok(()) }
}

/// The folder of this measure; gone with this value.
struct Folder(Utf8PathBuf);

impl Folder {
    /// An empty folder at `path`; what a bench that was killed left there goes.
    fn new(path: Utf8PathBuf) -> Result<Self> {
        if path.exists() {
            fs_err::remove_dir_all(&path)?;
        }
        fs_err::create_dir_all(path.join("images"))?;
        Ok(Self(path))
    }

    fn modules(&self, count: usize) -> impl Iterator<Item = Utf8PathBuf> {
        (1..=count).map(|number| self.0.join(format!("module{number}")))
    }

    fn small(&self) -> Utf8PathBuf {
        self.0.join("small")
    }

    fn list(&self) -> Utf8PathBuf {
        self.0.join("modules.list")
    }

    fn images(&self) -> Utf8PathBuf {
        self.0.join("images")
    }

    fn image(&self) -> Utf8PathBuf {
        self.images().join(format!("bootstrap_{ENTRY}.efi"))
    }

    fn copy(&self) -> Utf8PathBuf {
        self.0.join("copy.efi")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs_err::remove_dir_all(&self.0) {
            shell::status("Warning", &format!("{error}; remove it by hand"));
        }
    }
}

/// `hello` with large modules more, and a small one.
fn list(folder: &Folder, count: usize) -> String {
    let modules = folder.modules(count).chain([folder.small()]);
    let modules: String = modules.map(|module| format!("module {module}\n")).collect();
    format!(
        "modaddr 0x01100000\n\ndefault-kernel fiasco -serial_esc\ndefault-bootstrap bootstrap\n\n\
         entry {ENTRY}\nroottask moe --init=rom/hello\nmodule l4re\nmodule hello\n{modules}"
    )
}

/// What both builders are told beside the entry.
fn variables(folder: &Folder) -> [String; 2] {
    let list = format!("MODULES_LIST={}", folder.list());
    [list, format!("BOOTSTRAP_OUTPUT_DIR={}", folder.images())]
}

fn our_argv(binary: &Utf8Path, tree: &Utf8Path, folder: &Folder) -> Vec<String> {
    let head = [binary.as_str(), "l4re", "efiimage", ENTRY, "--tree", tree.as_str()];
    head.into_iter().map(str::to_owned).chain(variables(folder)).collect()
}

fn make_argv(tree: &Utf8Path, folder: &Folder) -> Vec<String> {
    let entry = format!("E={ENTRY}");
    let head = ["make", "-C", tree.as_str(), "efiimage", &entry];
    head.into_iter().map(str::to_owned).chain(variables(folder)).collect()
}

/// As users type it: it copies in the kernel where it can. On a file system that shares bytes
/// between files it costs no time at all, so measure on another one.
fn cp_argv(folder: &Folder) -> [String; 3] {
    let (image, copy) = (folder.image().into_string(), folder.copy().into_string());
    ["cp".to_owned(), image, copy]
}

/// Writes `pieces` pieces of bytes that nothing can compress.
fn write_noise(path: &Utf8Path, pieces: usize, state: &mut u64) -> Result<()> {
    let mut file = fs_err::File::create(path)?;
    let mut piece = vec![0; PIECE];
    for _ in 0..pieces {
        for word in piece.chunks_exact_mut(8) {
            word.copy_from_slice(&noise(state).to_le_bytes());
        }
        file.write_all(&piece)?;
    }
    Ok(())
}

/// The next 64 bits of xorshift64* (Vigna, "An experimental exploration of Marsaglia's
/// xorshift generators, scrambled", 2016).
pub(super) fn noise(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn scene(folder: &Utf8Path) -> Scene {
        let folder = Folder::new(folder.join("large")).unwrap();
        let (binary, tree, python) = ("/b".into(), "/t".into(), "/p".into());
        Scene { folder, count: 2, binary, tree, python }
    }

    #[test]
    fn both_builders_make_the_same_entry_into_the_same_folder() {
        let room = camino_tempfile::tempdir().unwrap();
        let scene = scene(room.path());
        let folder = &scene.folder.0;
        let variables =
            format!("MODULES_LIST={folder}/modules.list BOOTSTRAP_OUTPUT_DIR={folder}/images");
        let make = shlex::split(&scene.make().line()).unwrap().join(" ");
        assert_eq!(make, format!("make -C /t efiimage E=large {variables}"));
        assert_eq!(scene.ours().join(" "), format!("/b l4re efiimage large --tree /t {variables}"));
        assert_eq!(
            cp_argv(&scene.folder).join(" "),
            format!("cp {folder}/images/bootstrap_large.efi {folder}/copy.efi")
        );
    }

    #[test]
    fn the_entry_is_hello_and_the_modules_by_their_absolute_paths() {
        let room = camino_tempfile::tempdir().unwrap();
        let folder = Folder::new(room.path().join("x")).unwrap();
        let list = list(&folder, 2);
        assert!(list.contains("\nentry large\nroottask moe --init=rom/hello\n"), "{list}");
        let x = &folder.0;
        let end = format!("\nmodule {x}/module1\nmodule {x}/module2\nmodule {x}/small\n");
        assert!(list.ends_with(&end), "{list}");
    }

    #[test]
    fn noise_is_the_same_each_time_and_never_repeats() {
        let room = camino_tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| room.path().join(name));
        write_noise(&one, 2, &mut 1).unwrap();
        write_noise(&two, 2, &mut 1).unwrap();
        let bytes = fs_err::read(&one).unwrap();
        assert_eq!(bytes.len(), 2 * PIECE);
        assert!(bytes == fs_err::read(&two).unwrap());
        let words: std::collections::HashSet<&[u8]> = bytes.chunks(8).collect();
        assert_eq!(words.len(), 2 * PIECE / 8);
    }

    #[test]
    fn renewed_modules_are_other_files_with_the_same_bytes() {
        let room = camino_tempfile::tempdir().unwrap();
        let scene = scene(room.path());
        let modules: Vec<_> = scene.folder.modules(scene.count).collect();
        modules.iter().for_each(|module| fs_err::write(module, module.as_str()).unwrap());
        let number = |module: &Utf8PathBuf| fs_err::metadata(module).unwrap().ino();
        let old: Vec<_> = modules.iter().map(number).collect();
        scene.renew().unwrap();
        for (module, old) in modules.iter().zip(old) {
            let new = fs_err::metadata(module).unwrap();
            assert_ne!(old, new.ino());
            assert!(new.modified().unwrap() + AGE / 2 < SystemTime::now());
            assert_eq!(fs_err::read(module).unwrap(), module.as_str().as_bytes());
        }
    }

    #[test]
    fn the_folder_begins_empty_and_goes_in_the_end() {
        let room = camino_tempfile::tempdir().unwrap();
        let path = room.path().join("large");
        fs_err::create_dir(&path).unwrap();
        fs_err::write(path.join("left"), "over").unwrap();
        let folder = Folder::new(path.clone()).unwrap();
        assert!(!path.join("left").exists());
        drop(folder);
        assert!(!path.exists());
    }
}
