//! Building an image: which build tree, which entry, and make with its output shown.
//!
//! The tree is, in this order: `--tree`, the one that the working folder is in (unless `--arch`
//! asks for another architecture), the one that settings name for the architecture.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use l4re_image::{
    Arch, AssembleError, AssembleOptions, BuildLock, BuildTree, Cancel, Entry, Image, Inspection,
    KernelTree, Kind, ListOptions, Made, MakeError, MakeRequest, Package, Stamp,
};

use crate::commands::Context;
use crate::entry::{self, EntryError};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::make_output::MakeOutput;
use crate::settings::{self, ArchKey};

/// How often a build tree is looked at that another builds in.
const TURN: Duration = Duration::from_millis(20);
/// How many names a message lists before it stops.
const NAMES_SHOWN: usize = 12;

/// The build trees that a command works with.
#[derive(Debug, Clone)]
pub struct Workplace {
    /// L4Re's build tree.
    pub tree: BuildTree,
    kernel: Option<Utf8PathBuf>,
    platform: Option<String>,
}

impl Workplace {
    /// Finds the build trees that the flags, the working folder and the settings name.
    pub fn find(context: &Context) -> Result<Self, Failure> {
        let folder = context.environment.folder();
        let asked = context.global.arch;
        let tree = match &context.global.tree {
            Some(dir) => of_arch(BuildTree::open(&folder.join(dir))?, asked)?,
            None => match BuildTree::find_upwards(folder)? {
                Some(tree) if asked.is_none_or(|asked| asked == tree.arch()) => tree,
                here => match (tree_of_settings(context), here) {
                    (Err(Failure::NoTree { .. }), Some(here)) => of_arch(here, asked)?,
                    (set, _) => {
                        let (arch, dir) = set?;
                        of_arch(BuildTree::open(&dir)?, Some(arch))?
                    }
                },
            },
        };
        let set = context.settings.tree(tree.arch());
        // Settings belong to the tree that they name; another one shares nothing with it
        // but the architecture, and that is not enough for a kernel or platform to fit.
        let named = set.build.as_deref().is_none_or(|build| same(build, tree.root()));
        let flag = context.global.kernel.as_ref().map(|dir| folder.join(dir));
        Ok(Self {
            kernel: flag.or(set.kernel.filter(|_| named)),
            platform: set.platform.filter(|_| named),
            tree,
        })
    }

    /// The kernel's build tree, if one is named.
    pub fn kernel(&self) -> Option<&Utf8Path> {
        self.kernel.as_deref()
    }

    /// How entries are listed when these variables are given to make.
    pub fn list_options(&self, variables: &[(String, String)]) -> ListOptions {
        let last = |name| variables.iter().rev().find(|(key, _)| key == name);
        ListOptions {
            modules_list: last("MODULES_LIST").map(|(_, value)| value.into()),
            platform: self.platform.clone(),
            all_archs: false,
        }
    }

    /// The entries that can be built: those declared in settings, then those of the list.
    pub fn entries(
        &self,
        context: &Context,
        variables: &[(String, String)],
    ) -> Result<Vec<Entry>, Failure> {
        let options = self.list_options(variables);
        let listed = self.tree.entries(&options)?;
        // A list that is named says all; ours are for the tree's own.
        let declared = match options.modules_list {
            Some(_) => Vec::new(),
            None => context.settings.declared(),
        };
        if let Some(both) = declared.iter().find(|d| listed.iter().any(|l| l.name == d.name)) {
            let (name, list) = (both.name.clone(), self.tree.modules_list());
            return Err(entry::placed(context, EntryError::Twice { name, list }));
        }
        let ours = |entry: &&settings::Entry| {
            let (file, line) = match context.settings.place_in_entry(&entry.name, "name") {
                Some(settings::Place::File { path, line, .. }) => (path.clone(), Some(*line)),
                _ => (Utf8PathBuf::new(), None),
            };
            Entry { name: entry.name.clone(), archs: Vec::new(), file, line, comment: None }
        };
        Ok(declared.iter().map(ours).chain(listed).collect())
    }

    /// The entry that is meant: the one named, if it is there, or the only one there is (of
    /// those declared, if any are).
    pub fn entry(
        &self,
        context: &Context,
        name: Option<&str>,
        variables: &[(String, String)],
    ) -> Result<String, Failure> {
        let entries = self.entries(context, variables)?;
        let names = || entries.iter().map(|entry| entry.name.as_str());
        let list = self.list_options(variables).modules_list;
        let list = list.unwrap_or_else(|| self.tree.modules_list());
        match name {
            // L4Re's tools do not mind case, and name the image as they were asked.
            Some(name) if names().any(|known| known.eq_ignore_ascii_case(name)) => {
                Ok(name.to_owned())
            }
            Some(name) => Err(Failure::NoEntry {
                name: name.to_owned(),
                list,
                nearest: l4re_image::nearest(name, names()).into_iter().map(Into::into).collect(),
            }),
            None => match (entries.as_slice(), context.settings.declared().as_slice()) {
                ([only], _) => Ok(only.name.clone()),
                (_, [only]) => Ok(only.name.clone()),
                _ => Err(Failure::WhichEntry {
                    list,
                    count: entries.len(),
                    names: names().take(NAMES_SHOWN).collect::<Vec<_>>().join(", "),
                }),
            },
        }
    }

    /// What make is asked for an image of `entry`.
    pub fn request(
        &self,
        context: &Context,
        kind: Kind,
        name: &str,
        platform: Option<&str>,
        variables: &[(String, String)],
    ) -> Result<MakeRequest, Failure> {
        let mut request = MakeRequest::new(self.tree.clone(), kind, name);
        request.platform = platform.map(str::to_owned).or_else(|| self.platform.clone());
        request.kernel = self.kernel.as_deref().map(KernelTree::open).transpose()?;
        request.search_path = context.environment.get("MODULE_SEARCH_PATH").map(str::to_owned);
        request.vars = variables.to_vec();
        let mut declared = context.settings.declared().into_iter();
        let declared = declared.find(|known| known.name.eq_ignore_ascii_case(name));
        // A list that the user names says all.
        if let (Some(declared), None) = (declared, self.list_options(variables).modules_list) {
            let list = entry::write_list(context, &self.tree, declared)
                .map_err(|failure| entry::placed(context, failure))?;
            request.vars.push(("MODULES_LIST".to_owned(), list.to_string()));
        }
        request.verbose = context.shell.is_verbose();
        Ok(request)
    }
}

/// The tree, if it is for the architecture that it is taken for.
fn of_arch(tree: BuildTree, wanted: Option<Arch>) -> Result<BuildTree, Failure> {
    match wanted.filter(|wanted| *wanted != tree.arch()) {
        None => Ok(tree),
        Some(wanted) => Err(Failure::OtherArch {
            path: tree.root().to_owned(),
            arch: ArchKey(tree.arch()).name(),
            wanted: ArchKey(wanted).name(),
        }),
    }
}

/// The build tree that settings name, for the architecture that is asked for.
fn tree_of_settings(context: &Context) -> Result<(Arch, Utf8PathBuf), Failure> {
    let asked = asked_arch(context);
    let mut trees = context.settings.trees();
    trees.retain(|(_, tree)| tree.build.is_some());
    let arches = |trees: &[(Arch, settings::Tree)]| {
        trees.iter().map(|(arch, _)| ArchKey(*arch).name()).collect::<Vec<_>>().join(", ")
    };
    let known = arches(&trees);
    trees.retain(|(arch, _)| asked.is_none_or(|asked| asked == *arch));
    match (trees.as_slice(), asked) {
        ([], Some(asked)) if !known.is_empty() => {
            Err(Failure::NoTreeFor { asked: ArchKey(asked).name(), known })
        }
        ([], _) => Err(Failure::NoTree { folder: context.environment.folder().to_owned() }),
        ([(arch, tree)], _) => Ok((*arch, tree.build.clone().unwrap_or_default())),
        (several, _) => Err(Failure::WhichTree { arches: arches(several) }),
    }
}

/// The architecture that a flag or a setting asks for.
fn asked_arch(context: &Context) -> Option<Arch> {
    context.settings.find(|layer| layer.arch).map(|key| key.0)
}

fn same(a: &Utf8Path, b: &Utf8Path) -> bool {
    match (a.canonicalize_utf8(), b.canonicalize_utf8()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// Who makes the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Args)]
pub struct Way {
    /// Let make do it
    #[arg(long, conflicts_with = "native")]
    make: bool,
    /// Do it without make, or fail and say why
    #[arg(long)]
    native: bool,
}

/// Builds an image: natively where that gives what make would, else by make.
pub fn build(
    context: &Context,
    request: &MakeRequest,
    way: Way,
    cancel: &Cancel,
    interrupt: &Interrupt,
) -> Result<Made, Failure> {
    let place = format!("{} ({})", request.entry, request.tree.root());
    let _lock = take_turn(context, request.tree.root(), cancel, interrupt)?;
    if way.make {
        context.shell.status("Making", place);
        return make(context, request, cancel, interrupt);
    }
    let environment = Some(context.environment.all());
    let options = AssembleOptions { stamp: stamp(context), environment, reuse: true };
    match l4re_image::assemble(request, &options) {
        Ok(made) => {
            context.shell.detail("Assembled", place);
            Ok(made)
        }
        Err(AssembleError::Unfit(reason)) if !way.native => {
            context.shell.status("Making", place);
            context.shell.detail("By make", reason);
            let made = make(context, request, cancel, interrupt)?;
            // So that the next switch between kinds or platforms need not rebuild.
            match l4re_image::keep_base(request, &options) {
                // What is made of the same parts from now on is this very image: one that is
                // being uploaded does not change below the upload.
                Ok(()) => Ok(l4re_image::assemble(request, &options).unwrap_or(made)),
                Err(error) => {
                    context.shell.detail("Not kept", error);
                    Ok(made)
                }
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// Waits until no other build of ours is at work in the tree. One that cannot be locked, say
/// because nothing can be written there, is built in all the same.
fn take_turn(
    context: &Context,
    root: &Utf8Path,
    cancel: &Cancel,
    interrupt: &Interrupt,
) -> Result<Option<BuildLock>, Failure> {
    let mut said = false;
    loop {
        match BuildLock::try_take(root) {
            Ok(Some(lock)) => return Ok(Some(lock)),
            Err(error) => {
                context.shell.detail("Unlocked", format_args!("{root}: {error}"));
                return Ok(None);
            }
            Ok(None) if interrupt.is_asked() || cancel.is_cancelled() => {
                return Err(Failure::Interrupted);
            }
            Ok(None) if !said => {
                context
                    .shell
                    .status("Blocking", format_args!("waiting for another build in {root}"));
                said = true;
            }
            Ok(None) => std::thread::sleep(TURN),
        }
    }
}

/// Who makes an image and when, for its attributes.
fn stamp(context: &Context) -> Stamp {
    let uname = rustix::system::uname();
    let (user, name) = context.environment.account();
    Stamp {
        date: jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S %Z%z").to_string(),
        host: uname.nodename().to_string_lossy().into_owned(),
        user,
        name,
    }
}

/// Runs make with its output shown as it comes; Ctrl-C and `cancel` end make first.
fn make(
    context: &Context,
    request: &MakeRequest,
    cancel: &Cancel,
    interrupt: &Interrupt,
) -> Result<Made, Failure> {
    let shell = &context.shell;
    shell.detail("Running", crate::shell::words(&l4re_image::make_argv(request)));
    let mut output = MakeOutput::new(shell, &request.entry);
    ended_by(interrupt, cancel, || {
        l4re_image::make(request, cancel, &mut |bytes| output.push(bytes))
    })
    .map_err(|failure| entry::blamed(context, request, failure))
}

/// Builds a package of the tree by make.
pub fn package(
    context: &Context,
    package: &Package,
    cancel: &Cancel,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let shell = &context.shell;
    shell.status("Making", &package.objects);
    let mut output =
        MakeOutput::new(shell, package.objects.file_name().unwrap_or(package.objects.as_str()));
    ended_by(interrupt, cancel, || {
        l4re_image::make_package(package, cancel, &mut |bytes| output.push(bytes))
    })
}

/// Runs what `cancel` ends, which Ctrl-C then does.
fn ended_by<T>(
    interrupt: &Interrupt,
    cancel: &Cancel,
    run: impl FnOnce() -> Result<T, MakeError>,
) -> Result<T, Failure> {
    let on_interrupt = tokio::spawn({
        let (interrupt, cancel) = (interrupt.clone(), cancel.clone());
        async move {
            interrupt.asked().await;
            cancel.cancel();
        }
    });
    let result = run();
    on_interrupt.abort();
    result.map_err(
        |error| {
            if interrupt.is_asked() { Failure::Interrupted } else { Failure::Make(error) }
        },
    )
}

/// An image in one line: `images/bootstrap_hello.efi (1.5 MiB, x86_64 EFI)`.
pub fn describe(image: &Image) -> String {
    let size = bytesize::ByteSize::b(image.size).display().iec();
    format!("{} ({size}, {} {})", image.path, image.arch, image.kind)
}

/// An iPXE's binary; an L4Re image, which would boot in its place every time, is an error.
pub fn ipxe(path: &Utf8Path) -> Result<Image, Failure> {
    match l4re_image::inspect_headers(path)?.info {
        None => Ok(Image::open(path)?),
        Some(_) => {
            Err(Failure::Usage(format!("{path} is an L4Re image, and `--ipxe` takes an iPXE")))
        }
    }
}

/// An error if the image failed a check.
pub fn sound(inspection: &Inspection) -> Result<(), Failure> {
    let told = |check: &l4re_image::Check| format!("{:?}: {}", check.name, check.detail);
    let failed: Vec<_> = inspection.failed().map(told).collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Failure::ImageChecks { path: inspection.path.clone(), failed }),
    }
}
