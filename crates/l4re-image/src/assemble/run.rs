//! The steps of making an image natively, from settings to links.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use super::again::{self, Last, Note};
use super::base::{Base, TreeLock};
use super::output::Output;
use super::payload::Payload;
use super::plan::plan;
use super::prepare::Workshop;
use super::remember::{Memory, Prepared, identity};
use super::settings::Settings;
use super::sweep::sweep;
use super::write::Frame;
use super::{elf_needs, known, output};
use crate::image::{Image, ImageError};
use crate::make::{Made, MakeError, MakeRequest, standard_link};
use crate::modlist::{Evaluation, Listed, Source, evaluate};

/// Who makes an image, and when: L4Re writes it into the attributes
/// `l4i:modification-date`, `-host`, `-user` and `-name`. The caller knows, this crate does
/// not ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// As `date '+%Y-%m-%d %T %Z%z'` prints it.
    pub date: String,
    /// The machine's name.
    pub host: String,
    /// The user's login name.
    pub user: String,
    /// The user's full name.
    pub name: String,
}

/// How an image is made natively.
#[derive(Clone, Debug, Default)]
pub struct AssembleOptions {
    /// Who makes it, and when.
    pub stamp: Stamp,
    /// The environment of this process, as make will see it. With it, make's answers about the
    /// tree are remembered, for this environment and these make files; without it make is
    /// asked each time.
    pub environment: Option<Vec<(OsString, OsString)>>,
    /// An image of the very same parts as the last one of its name may be that one, with its
    /// date and number; make writes it anew each time.
    pub reuse: bool,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// This is make's to do: an entry that only L4Re's tools can evaluate, a base image that
    /// must be rebuilt, or something that make will complain about in its own words.
    #[error("left to make: {0}")]
    Unfit(String),
    /// What [`make`](crate::make) refuses, too: a request that make would misunderstand, an
    /// image that fails a check.
    #[error(transparent)]
    Refused(MakeError),
    /// What was written is not usable.
    #[error(transparent)]
    Image(ImageError),
    /// A file of the tree cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: Utf8PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Makes an image as [`make`](crate::make) would, without it where that can be done to the
/// letter.
pub fn assemble(request: &MakeRequest, options: &AssembleOptions) -> Result<Made, AssembleError> {
    request.check().map_err(AssembleError::Refused)?;
    accept_variables(request)?;
    accept_environment(options.environment.as_deref().unwrap_or_default())?;
    let settings = known::settings(request, options.environment.as_deref())?;
    if let Some(name) =
        ["POST_IMAGE_CMD", "COVERAGE"].into_iter().find(|name| !settings.outer(name).is_empty())
    {
        return Err(AssembleError::Unfit(format!("variable {name} is set")));
    }
    let lock = TreeLock::take(request.tree.root())?;
    let base = Base::open(request, &settings, options.environment.as_deref())?;
    let tool = tool(settings.inner("OBJCOPY"), options.environment.as_deref());
    let (cmdline, modules) = modules(request, &settings, &base, tool.as_deref())?;
    let (dir, base_name) = target(request, &settings);
    let suffix = request.kind.suffix();
    let path = dir.join(format!("{base_name}_{}.{suffix}", request.entry));
    let job = Job { request, base: &base, settings: &settings, cmdline, modules };
    let (image, written) = job.image(&path, options)?;
    drop(lock);
    output::link(request, &path, &format!("{base_name}.{suffix}"))?;
    let standard = standard_link(&image);
    Ok(Made { image, standard, written })
}

/// An image that can be made.
struct Job<'a> {
    request: &'a MakeRequest,
    base: &'a Base,
    settings: &'a Settings,
    cmdline: String,
    modules: Vec<Ready>,
}

impl Job<'_> {
    /// Makes it, and says whether it had to be written.
    fn image(
        &self,
        path: &Utf8Path,
        options: &AssembleOptions,
    ) -> Result<(Image, bool), AssembleError> {
        let (request, modules) = (self.request, &self.modules[..]);
        let root = request.tree.root();
        let note = Note::of(root, path);
        let sums: Option<Vec<_>> = modules.iter().map(|m| m.prepared.remembered()).collect();
        let undated = Stamp { date: String::new(), ..options.stamp.clone() };
        let key = |sums: &[String]| {
            let (payload, frame) = self.plan(&undated, 0, sums)?;
            Ok::<_, AssembleError>(again::key(&payload, &frame, modules))
        };
        let last = match sums.filter(|_| options.reuse) {
            Some(sums) => note.recall(&key(&sums)?, path),
            None => None,
        };
        if let Some((last, true)) = &last {
            return Ok((output::checked(path, path, last.sha256.clone(), request)?, false));
        }
        let (sha256, date, number) = match last {
            Some((last, _)) => (Some(last.sha256), last.date, last.number),
            None => (None, options.stamp.date.clone(), next_number(root)?),
        };
        let stamp = Stamp { date, ..options.stamp.clone() };
        let output = Output { request, path, modules, sha256 };
        let (image, sums) = output.write(|sums| self.plan(&stamp, number, sums))?;
        let (key, sha256) = (key(&sums)?, image.sha256.clone());
        // Without a note it is made anew the next time: slower, not wrong.
        let _ = note.keep(&Last { key, date: stamp.date, number, sha256 }, path);
        sweep(root);
        Ok((image, true))
    }

    /// The bytes around the modules.
    fn plan(
        &self,
        stamp: &Stamp,
        number: u64,
        sums: &[String],
    ) -> Result<(Payload, Frame), AssembleError> {
        let attributes = attributes(self.settings, self.base, stamp, number)?;
        let entries = output::entries(&self.modules, sums);
        plan(self.base, &attributes, &self.cmdline, &entries)
            .ok_or_else(|| AssembleError::Unfit("the base image has an unusual shape".to_owned()))
    }
}

/// Keeps the base image that make has just used for this request, so that the next image of
/// this kind and platform needs no make, whatever is built in between; without an environment
/// in the options, or where it cannot be kept, it does nothing.
///
/// To be called after [`make`](crate::make) has made what [`assemble`] could not: some
/// platforms' base images never look as L4Re's tools want them, and these then rebuild each
/// time.
pub fn keep_base(request: &MakeRequest, options: &AssembleOptions) -> Result<(), AssembleError> {
    let Some(environment) = options.environment.as_deref() else { return Ok(()) };
    accept_variables(request)?;
    let settings = known::settings(request, Some(environment))?;
    let _lock = TreeLock::take(request.tree.root())?;
    let kept = Base::keep(request, &settings, environment).map_err(AssembleError::Unfit);
    sweep(request.tree.root());
    kept
}

/// Variables by which L4Re's tools make something else, not known here.
fn accept_environment(environment: &[(OsString, OsString)]) -> Result<(), AssembleError> {
    const OF_TOOLS: [&str; 7] = [
        "L4IMAGE_EXTRA_OPTS",
        "L4IMAGE_CREATE_OUTPUT_FORMATTER",
        "SEARCHPATH",
        "BASE_IMAGE_FILENAME",
        "TARGET_IMAGE",
        "TARGET_IMAGE_PATH",
        "TARGET_IMAGE_FILENAME",
    ];
    let set = |name: &str| environment.iter().any(|(key, value)| key == name && !value.is_empty());
    match OF_TOOLS.into_iter().find(|name| set(name)) {
        Some(name) => Err(AssembleError::Unfit(format!("variable {name} is set"))),
        None => Ok(()),
    }
}

/// What tells the program of a command from others of its name: its file, as the environment
/// leads to it.
fn tool(command: &str, environment: Option<&[(OsString, OsString)]>) -> Option<String> {
    let program = command.split_whitespace().next()?;
    let (_, folders) = environment?.iter().find(|(name, _)| name == "PATH")?;
    let candidates = std::env::split_paths(folders).map(|folder| folder.join(program));
    let data = candidates.filter_map(|path| path.metadata().ok()).find(|data| data.is_file())?;
    Some(identity(&data))
}

/// Variables whose meaning is known here; others may mean anything.
fn accept_variables(request: &MakeRequest) -> Result<(), AssembleError> {
    const KNOWN: [&str; 7] = [
        "PT",
        "PLATFORM_TYPE",
        "MODULES_LIST",
        "MODULE_SEARCH_PATH",
        "BOOTSTRAP_OUTPUT_DIR",
        "IMAGE_BASENAME",
        "V",
    ];
    match request.vars.iter().find(|(name, _)| !KNOWN.contains(&name.as_str())) {
        Some((name, _)) => Err(AssembleError::Unfit(format!("variable {name}"))),
        None => Ok(()),
    }
}

/// A module with its bytes.
pub(super) struct Ready {
    pub(super) listed: Listed,
    pub(super) prepared: Prepared,
}

/// The bootstrapper's command line, and the modules with the libraries that they need.
fn modules(
    request: &MakeRequest,
    settings: &Settings,
    base: &Base,
    tool: Option<&str>,
) -> Result<(String, Vec<Ready>), AssembleError> {
    let mut search = settings.search_path(request);
    let list = list_file(request, settings, &search)?;
    let attribute = |name| base.inspection.attribute(name).unwrap_or_default();
    let variables = BTreeMap::from([
        ("ARCH", base.inspection.arch.l4re().to_owned()),
        ("BITS", attribute("l4i:bits").to_owned()),
        ("PLATFORM_TYPE", attribute("l4i:PT").to_owned()),
        ("L4DIR", request.tree.source().to_string()),
        ("SRC_BASE_ABS", request.tree.source().to_string()),
    ]);
    let unfit = |reason: String| AssembleError::Unfit(reason);
    let source = Source::read(&list, &variables).map_err(|error| unfit(error.to_string()))?;
    let evaluation = Evaluation {
        entry: &request.entry,
        arch: base.inspection.arch.l4re(),
        bits: attribute("l4i:bits"),
        folder: request.tree.source(),
    };
    let evaluated = evaluate(&source, &evaluation).map_err(unfit)?;
    search.extend(evaluated.searchpath);
    let memory = Memory::of_tree(request.tree.root())?;
    let objcopy = settings.inner("OBJCOPY");
    let workshop = Workshop { search: &search, objcopy, tool, memory: &memory };
    let mut listed = evaluated.modules;
    add_libraries(&workshop, &mut listed)?;
    let ready =
        |listed: Listed| workshop.prepare(&listed).map(|prepared| Ready { listed, prepared });
    Ok((evaluated.cmdline, listed.into_iter().map(ready).collect::<Result<_, _>>()?))
}

fn list_file(
    request: &MakeRequest,
    settings: &Settings,
    search: &[Utf8PathBuf],
) -> Result<Utf8PathBuf, AssembleError> {
    let name = match settings.outer("MODULES_LIST") {
        "" => return Ok(request.tree.modules_list()),
        name => Utf8Path::new(name),
    };
    let own = request.tree.root().join("assets/modlist").join(name);
    let mut places = [own].into_iter().chain(search.iter().map(|dir| dir.join(name)));
    places
        .find(|path| path.is_file())
        .ok_or_else(|| AssembleError::Unfit(format!("no module list {name}")))
}

/// Adds the libraries that modules, and these libraries, need, in the order of their names.
fn add_libraries(workshop: &Workshop<'_>, modules: &mut Vec<Listed>) -> Result<(), AssembleError> {
    let needs = |file: &str| match workshop.find(file)? {
        Some(path) => elf_needs::needs(&path).map_err(AssembleError::Unfit),
        None => Ok(Vec::new()),
    };
    let mut libraries = BTreeSet::new();
    let mut scanned: BTreeSet<String> = BTreeSet::new();
    for module in modules.iter().filter(|module| !module.has("no-shlib-scan")) {
        libraries.extend(needs(&module.file)?);
        scanned.insert(module.name.clone());
    }
    while let Some(next) = libraries.difference(&scanned).next().cloned() {
        libraries.extend(needs(&next)?);
        scanned.insert(next);
    }
    let present: BTreeSet<String> = modules.iter().map(|module| module.name.clone()).collect();
    modules.extend(libraries.difference(&present).map(|name| Listed::library(name)));
    Ok(())
}

/// The base image's attributes with those of this image.
fn attributes(
    settings: &Settings,
    base: &Base,
    stamp: &Stamp,
    number: u64,
) -> Result<BTreeMap<String, String>, AssembleError> {
    let mut attributes = BTreeMap::new();
    for attribute in &base.inspection.attributes {
        if attribute.value.contains('\u{fffd}') || attribute.key.contains('\u{fffd}') {
            return Err(AssembleError::Unfit(format!("attribute {} has odd bytes", attribute.key)));
        }
        attributes.insert(attribute.key.clone(), attribute.value.clone());
    }
    let (program, options) = (settings.inner("QEMU_PATH"), settings.inner("QEMU_OPTIONS"));
    let mut set = |key: &str, value: String| attributes.insert(key.to_owned(), value);
    set("l4i:QEMUcmd", format!("{program} {options} -kernel $L4IMAGE_FILE"));
    set("l4i:sequence", number.to_string());
    set("l4i:modification-date", stamp.date.clone());
    set("l4i:modification-host", stamp.host.clone());
    set("l4i:modification-user", stamp.user.clone());
    set("l4i:modification-name", stamp.name.clone());
    Ok(attributes)
}

/// Counts images as make does, in the same file.
fn next_number(root: &Utf8Path) -> Result<u64, AssembleError> {
    let path = root.join(".image_nr");
    let last = fs_err::read_to_string(&path).unwrap_or_default();
    let next = last.trim().parse().unwrap_or(0_u64).wrapping_add(1);
    let failed = |source| AssembleError::Write { path: path.clone(), source };
    fs_err::write(&path, format!("{next}\n")).map_err(failed)?;
    Ok(next)
}

/// The folder of images, and the start of their names.
fn target(request: &MakeRequest, settings: &Settings) -> (Utf8PathBuf, String) {
    let or = |value: &str, default: &str| {
        if value.is_empty() { default.to_owned() } else { value.to_owned() }
    };
    let images = or(settings.outer("IMAGES_DIR"), request.tree.images().as_str());
    let dir = or(settings.outer("BOOTSTRAP_OUTPUT_DIR"), &images);
    let base = or(settings.outer("IMAGE_BASENAME"), "bootstrap");
    (request.tree.source().join(dir), base)
}
