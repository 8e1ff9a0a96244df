//! What make knows about a tree: search path, base image's platform and RAM base, emulator.
//!
//! Asked twice, as L4Re does: as its top Makefile sees things (without `conf/Makeconf.boot`)
//! and as its image builder does (with it; `tool/bin/makeconf`).

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use super::AssembleError;
use crate::make::MakeRequest;

/// Values of make variables.
pub(super) type Values = BTreeMap<String, String>;

/// What the top Makefile sees.
const OUTER: &str = "PLATFORM_TYPE ARCH BITS CPU MODULE_SEARCH_PATH BUILDDIR_SEARCHPATH \
                     MODULES_LIST BOOTSTRAP_OUTPUT_DIR IMAGE_BASENAME POST_IMAGE_CMD COVERAGE \
                     IMAGES_DIR MAKEFILE_LIST";
/// What the image builder sees.
const INNER: &str = "PLATFORM_TYPE CPU OBJCOPY QEMU_PATH QEMU_OPTIONS MODULE_SEARCH_PATH \
                     BUILDDIR_SEARCHPATH RAM_BASE PLATFORM_RAM_BASE \
                     RAM_BASE_SWITCH_PLATFORM_TYPE RAM_BASE_SWITCH_OK SWITCHED MAKEFILE_LIST";
/// The RAM base of the platform that was built last: a variable with a computed name.
const SWITCHED: &str = "SWITCHED=$(RAM_BASE_$(RAM_BASE_SWITCH_PLATFORM_TYPE))";

/// Both answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) outer: Values,
    pub(super) inner: Values,
}

impl Settings {
    /// Asks make.
    pub(super) fn ask(request: &MakeRequest) -> Result<Self, AssembleError> {
        let outer = query(request, OUTER, &[])?;
        let given: Vec<_> = ["PLATFORM_TYPE", "ARCH", "BITS"]
            .into_iter()
            .map(|name| (name.to_owned(), get(&outer, name).to_owned()))
            .collect();
        let inner = query(request, INNER, &given)?;
        Ok(Self { outer, inner })
    }

    /// The make files that were read.
    pub(super) fn makefiles(&self) -> impl Iterator<Item = &str> {
        [self.outer("MAKEFILE_LIST"), self.inner("MAKEFILE_LIST")]
            .into_iter()
            .flat_map(str::split_whitespace)
    }

    pub(super) fn outer(&self, name: &str) -> &str {
        get(&self.outer, name)
    }

    pub(super) fn inner(&self, name: &str) -> &str {
        get(&self.inner, name)
    }

    /// The folders in which modules are looked for, in order, each once.
    pub(super) fn search_path(&self, request: &MakeRequest) -> Vec<Utf8PathBuf> {
        let parts = [
            self.outer("MODULE_SEARCH_PATH"),
            self.outer("BUILDDIR_SEARCHPATH"),
            self.inner("MODULE_SEARCH_PATH"),
            self.inner("BUILDDIR_SEARCHPATH"),
        ];
        let mut dirs: Vec<Utf8PathBuf> = Vec::new();
        let words = parts.iter().flat_map(|part| part.split([':', ' ', '\t']));
        for dir in words.filter(|word| !word.is_empty()) {
            let dir = request.tree.source().join(dir);
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        dirs
    }
}

fn get<'a>(values: &'a Values, name: &str) -> &'a str {
    values.get(name).map(String::as_str).unwrap_or_default()
}

/// The argv that prints variables of a tree, one `NAME=value` a line.
fn query_argv(request: &MakeRequest, names: &str, boot: bool) -> Vec<String> {
    let (root, source) = (request.tree.root(), request.tree.source());
    let mut argv = vec!["make".to_owned(), "-C".to_owned(), source.to_string()];
    let files = ["--no-print-directory", "-f", "mk/Makeconf", "-f", "mk/makehelpers.inc"];
    argv.extend(files.map(ToOwned::to_owned));
    argv.extend([format!("O={root}"), format!("OBJ_BASE={root}"), format!("L4DIR={source}")]);
    argv.push(format!("SRC_DIR={source}"));
    argv.extend(boot.then(|| "INCLUDE_BOOT_CONFIG=required".to_owned()));
    argv.extend(["BID_printm".to_owned(), format!("VARS={names}"), SWITCHED.to_owned()]);
    argv
}

fn query(
    request: &MakeRequest,
    names: &str,
    given: &[(String, String)],
) -> Result<Values, AssembleError> {
    let argv = query_argv(request, names, !given.is_empty());
    // Command-line variables reach L4Re's tools through the environment.
    let mut command = duct::cmd(&argv[0], &argv[1..])
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .env("MAKEFLAGS", "");
    for (name, value) in request.all_vars().chain(given.iter().cloned()) {
        command = command.env(name, value);
    }
    let unfit = |reason: String| AssembleError::Unfit(format!("make's settings: {reason}"));
    let output = command.run().map_err(|error| unfit(error.to_string()))?;
    if !output.status.success() {
        return Err(unfit(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let text = String::from_utf8(output.stdout).map_err(|_| unfit("not UTF-8".to_owned()))?;
    let pair = |line: &str| line.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
    Ok(text.lines().filter_map(pair).collect())
}
