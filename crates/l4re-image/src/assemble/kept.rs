//! Base images kept in the build tree, one for each kind and platform, so that going back to
//! one does not cost the rebuild that L4Re would do.
//!
//! Invariant: one is used only as long as all that it was built from is the very same (path,
//! inode, size, times): what the bootstrapper's own build noted as its dependencies, its
//! sources, the libraries, the make files, and the environment. For another RAM base than the
//! tree's the programs that L4Re links for it must be what they were with it, byte for byte.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use super::known;
use super::remember::identity;
use super::settings::Settings;
use super::sweep;
use crate::make::MakeRequest;
use crate::replace::Replacement;

/// Where the bootstrapper is, in the sources and in the build tree.
const BOOTSTRAP: &str = "pkg/bootstrap/server/src";
/// Starts a line about a program that is linked for a RAM base.
const LINKED: &str = "linked";
/// Written by L4Re at each change of platform; what it says is in the image's attributes.
const SWITCH: &str = "Makeconf.ram_base";

/// The place of a kept base image.
#[derive(Debug)]
pub(super) struct Kept {
    note: Utf8PathBuf,
    image: Utf8PathBuf,
}

impl Kept {
    /// Where the base image for this request is kept.
    pub(super) fn of(
        request: &MakeRequest,
        settings: &Settings,
        ram_base: u64,
        environment: &[(OsString, OsString)],
    ) -> Self {
        let platform = settings.inner("PLATFORM_TYPE");
        let what = format!("{} {platform} {ram_base:#x}", request.kind.suffix());
        let mut hash = Sha256::new_with_prefix(what);
        known::add_environment(environment, &mut |bytes| hash.update(bytes));
        let key = hex::encode(&hash.finalize()[..16]);
        let path = request.tree.root().join(".cargo-l4re").join(format!("base-{key}"));
        Self { image: path.with_extension("image"), note: path }
    }

    /// The kept image, if it is what make would build now. Where make would link programs for
    /// another RAM base, too (`relinks`), it must not change them.
    pub(super) fn recall(&self, relinks: bool) -> Option<&Utf8Path> {
        let text = fs::read_to_string(&self.note).ok()?;
        let mut lines = text.lines();
        let own = lines.next()?.strip_prefix("kept ")?;
        let copy = fs::metadata(&self.image).ok()?;
        let whole = own.split(' ').nth(1)?.parse() == Ok(copy.size());
        let same = lines.all(|line| match line.split_once(' ') {
            Some((LINKED, known)) => !relinks || is_linked_alike(known),
            Some((known, file)) => state(Utf8Path::new(file)) == known,
            None => false,
        });
        (whole && same).then(|| {
            sweep::used(&self.note);
            &*self.image
        })
    }

    /// Keeps the base image `built`, unless it is older than what it would be built from now.
    pub(super) fn keep(
        &self,
        built: &Utf8Path,
        request: &MakeRequest,
        settings: &Settings,
    ) -> io::Result<()> {
        let data = fs::metadata(built)?;
        let own = identity(&data);
        let seen = fs::read_to_string(&self.note).unwrap_or_default();
        if seen.lines().next().and_then(|line| line.split_once(' ')).is_some_and(|l| l.1 == own) {
            sweep::used(&self.note);
            return Ok(());
        }
        let inputs = inputs(request, settings).filter(|inputs| {
            let older = |file: &Utf8PathBuf| fs::metadata(file).is_ok_and(|of| newer(&data, &of));
            inputs.iter().all(|file| !file.exists() || older(file))
        });
        let Some(inputs) = inputs else {
            return replace(&self.note, format!("old {own}\n").as_bytes());
        };
        let mut text = format!("kept {own}\n");
        for file in &inputs {
            text += &format!("{} {file}\n", state(file));
        }
        for file in linked(request, settings)? {
            text += &format!("{LINKED} {}\n", sum_line(&file)?);
        }
        // First the old note goes, which is about another image.
        let _ = fs::remove_file(&self.note);
        replace(&self.image, &fs::read(built)?)?;
        replace(&self.note, text.as_bytes())
    }
}

/// The programs that L4Re links anew for each RAM base: all that it registered but the
/// bootstrapper itself.
fn linked(request: &MakeRequest, settings: &Settings) -> io::Result<Vec<Utf8PathBuf>> {
    let registered = fs::read_to_string(request.tree.root().join(".Makeconf.phys_reloc"))?;
    let system = format!("{}_{}", settings.outer("ARCH"), settings.inner("CPU"));
    let mut files = Vec::new();
    for dir in registered.split_whitespace().filter(|word| word.starts_with('/')) {
        if dir.ends_with(BOOTSTRAP) {
            continue;
        }
        let built = below(Utf8Path::new(dir))?.into_iter();
        let program = |file: &Utf8PathBuf| {
            let name = file.file_name().unwrap_or_default();
            file.as_str().contains(&system) && !name.contains('.') && name != "Makefile"
        };
        files.extend(built.filter(program));
    }
    Ok(files)
}

/// Whether a program is what such a line says.
fn is_linked_alike(line: &str) -> bool {
    let file = line.split_once(' ').map(|(_, file)| Utf8Path::new(file));
    file.is_some_and(|file| sum_line(file).is_ok_and(|now| now == line))
}

/// The sum of a file, and the file.
fn sum_line(file: &Utf8Path) -> io::Result<String> {
    Ok(format!("{} {file}", hex::encode(Sha256::digest(fs::read(file)?))))
}

/// What a file's content hangs on, without spaces; "-" for none.
fn state(file: &Utf8Path) -> String {
    fs::metadata(file).map_or("-".to_owned(), |data| identity(&data).replace(' ', ","))
}

/// Whether `a` was written after `b`.
fn newer(a: &Metadata, b: &Metadata) -> bool {
    (a.mtime(), a.mtime_nsec()) > (b.mtime(), b.mtime_nsec())
}

fn replace(path: &Utf8Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = Replacement::of(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// All files that a base image is built from; `None` where that cannot be known.
fn inputs(request: &MakeRequest, settings: &Settings) -> Option<BTreeSet<Utf8PathBuf>> {
    let (source, root) = (request.tree.source(), request.tree.root());
    let mut files: BTreeSet<_> = known::dependencies(request, settings)?
        .into_iter()
        .filter(|file| file.file_name() != Some(SWITCH))
        .collect();
    let system = format!("{}_{}", settings.outer("ARCH"), settings.inner("CPU"));
    let mut noted = false;
    for object in below(&root.join(BOOTSTRAP)).ok()? {
        if object.as_str().contains(&system) && matches!(object.extension(), Some("cmd" | "d")) {
            noted = true;
            files.extend(dependencies(&fs::read_to_string(&object).ok()?));
        }
    }
    files.extend(below(&source.join(BOOTSTRAP)).ok()?);
    let libraries = below(&root.join("lib").join(&system)).ok()?;
    files.extend(libraries.into_iter().filter(|file| file.extension() == Some("a")));
    noted.then_some(files)
}

/// The absolute paths in a file of dependencies as compilers and L4Re's make files write them.
fn dependencies(text: &str) -> impl Iterator<Item = Utf8PathBuf> {
    // Commands name programs and folders as well: only lists of dependencies count.
    let lines = text.lines().filter(|line| !line.starts_with("savedcmd_"));
    let words = lines.flat_map(|line| line.split([' ', '\t', '\\', ':']));
    // `$(wildcard /a/file),` is about a file that may come to be.
    let words = words.map(|word| word.trim_end_matches([')', ',']));
    words.filter(|word| word.starts_with('/')).map(Utf8PathBuf::from)
}

/// All files below a folder.
fn below(dir: &Utf8Path) -> io::Result<Vec<Utf8PathBuf>> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in dir.read_dir_utf8()? {
            let entry = entry?;
            // Links are what they lead to, but are not followed into folders.
            match entry.file_type()?.is_dir() {
                true => dirs.push(entry.into_path()),
                false => files.push(entry.into_path()),
            }
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Kind;
    use crate::tree::sample::SampleTree;

    #[test]
    fn dependencies_are_the_absolute_paths() {
        let text = "savedcmd_a.o := gcc -I/usr/include a.cc\n\nsource_a.o := /src/a.cc\n\n\
                    deps_a.o := \\\n  $(wildcard $(OBJ_BASE)/config/X) \\\n  /b/x.h \\\n\
                    .general.d: /mk/prog.mk\n/mk/rules.inc:\n\
                    $(if $(wildcard /l/Makeconf.local), .general.d: FORCE)\n";
        let files: Vec<_> = dependencies(text).collect();
        let expected = ["/src/a.cc", "/b/x.h", "/mk/prog.mk", "/mk/rules.inc", "/l/Makeconf.local"];
        assert_eq!(files, expected);
    }

    #[test]
    fn a_kept_image_is_used_until_what_it_was_built_from_changes() {
        let sample = SampleTree::new("", "");
        let sources = ["src/pkg/bootstrap/server/src/a.cc", "build/lib/amd64_gen/libc.a"];
        let program = "build/pkg/moe/OBJ-amd64_gen-std-l4f/moe";
        sources.iter().chain([&program]).for_each(|name| sample.write(name, "old"));
        let header = sample.path("src/include/x.h");
        sample.write("src/include/x.h", "");
        let noted = format!("deps_a.o := {header}\n");
        sample.write("build/pkg/bootstrap/server/src/OBJ-amd64_gen-plain/.a.o.cmd", noted);
        let registered = format!("PHYS_RELOC_DIR_LIST += {}\n", sample.path("build/pkg/moe"));
        sample.write("build/.Makeconf.phys_reloc", registered);
        sample.write("build/base", "image");

        let mut settings = Settings::default();
        settings.outer.insert("ARCH".to_owned(), "amd64".to_owned());
        settings.inner.insert("CPU".to_owned(), "gen".to_owned());
        let request = MakeRequest::new(sample.tree(), Kind::Efi, "hello");
        let kept = Kept::of(&request, &settings, 0, &[]);
        let other = Kept::of(&request, &settings, 1, &[]);
        let base = sample.path("build/base");
        let age = |name: &Utf8Path, seconds| {
            let time = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
            fs::File::options().write(true).open(name).unwrap().set_modified(time).unwrap();
        };
        let all = below(&sample.path("")).unwrap();
        for file in all.iter().filter(|file| !file.is_symlink()) {
            age(file, 20);
        }
        assert_eq!(kept.recall(false), None);
        age(&base, 30);
        kept.keep(&base, &request, &settings).unwrap();
        assert_eq!(kept.recall(false), None, "older than its sources");
        age(&base, 10);
        kept.keep(&base, &request, &settings).unwrap();
        assert_eq!(fs::read(kept.recall(true).unwrap()).unwrap(), b"image");
        assert_eq!(other.recall(false), None, "for another RAM base");
        sample.write("build/base", "another image");
        assert_eq!(fs::read(kept.recall(true).unwrap()).unwrap(), b"image");
        sample.write(program, "new");
        assert_eq!(kept.recall(true), None, "programs would be linked anew");
        for file in [&sample.path(sources[0]), &sample.path(sources[1]), &header] {
            age(&base, 0);
            kept.keep(&base, &request, &settings).unwrap();
            assert!(kept.recall(false).is_some());
            age(file, 5);
            assert_eq!(kept.recall(false), None, "{file} changed");
        }
    }
}
