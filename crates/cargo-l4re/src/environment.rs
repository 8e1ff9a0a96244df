//! The process environment, read once and in this file only.
//!
//! Everything else gets an [`Environment`] handed down, so that a test can give its own and
//! a reader can find every variable that counts: `CARGO_L4RE_*` (settings, see
//! `settings::layer`), Cargo's own (`CARGO`, `CARGO_TERM_*`, `NO_COLOR`), `CI`, and the XDG
//! base directories. AWS variables are read by the SDK's own chain, never here; only that one
//! is set to nothing is found here, as the SDK panics on it.

#![expect(clippy::disallowed_methods, reason = "this is the one file that reads the environment")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use camino::{Utf8Path, Utf8PathBuf};

/// Prefix of the variables that are settings.
pub const SETTINGS_PREFIX: &str = "CARGO_L4RE_";

/// A snapshot of the variables, the working folder and the program's own path.
#[derive(Debug, Clone)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    folder: Utf8PathBuf,
    program: Utf8PathBuf,
}

impl Environment {
    /// Reads the environment of this process.
    pub fn read() -> std::io::Result<Self> {
        let utf8 = |path: std::path::PathBuf| {
            Utf8PathBuf::from_path_buf(path).map_err(|path| {
                let text = format!("the path {} is not UTF-8", path.display());
                std::io::Error::new(std::io::ErrorKind::InvalidInput, text)
            })
        };
        let variables = std::env::vars_os().collect();
        let folder = utf8(std::env::current_dir()?)?;
        let program = utf8(std::env::current_exe()?)?;
        Ok(Self { variables, folder, program })
    }

    /// Makes this process keep no folder in use.
    pub fn leave_folder(&self) -> std::io::Result<()> {
        std::env::set_current_dir("/")
    }

    /// A variable's value; an empty one counts as unset, as Cargo has it, and so does one
    /// that is not UTF-8: none of those that count here can be.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(OsStr::new(name))?.to_str().filter(|value| !value.is_empty())
    }

    /// All variables, as a child sees them.
    pub fn all(&self) -> Vec<(OsString, OsString)> {
        self.variables.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The variables that name settings, without their prefix; no text for those that are not
    /// UTF-8.
    pub fn settings(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.variables
            .iter()
            .filter_map(|(key, value)| Some((key.to_str()?.strip_prefix(SETTINGS_PREFIX)?, value)))
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key, value.to_str()))
    }

    /// The working folder.
    pub fn folder(&self) -> &Utf8Path {
        &self.folder
    }

    /// The path of the running program, for starting it again as a daemon or a pipe.
    pub fn program(&self) -> &Utf8Path {
        &self.program
    }

    /// Whether this runs in a CI job.
    pub fn is_ci(&self) -> bool {
        self.get("CI").is_some_and(|value| value != "false" && value != "0")
    }

    /// A variable for an endpoint of AWS that is set to nothing.
    pub fn empty_endpoint(&self) -> Option<&str> {
        let named = |(name, value): (&'_ OsString, &OsString)| {
            name.to_str().is_some_and(|name| name.starts_with("AWS_ENDPOINT_URL"))
                && value.is_empty()
        };
        let (name, _) = self.variables.iter().find(|pair| named(*pair))?;
        name.to_str()
    }

    /// The user's name, for the owner tag of what is launched.
    pub fn user(&self) -> Option<&str> {
        self.get("USER").or_else(|| self.get("LOGNAME"))
    }

    /// The login name and the full name of the user that runs this, as the account file has
    /// them; the login name serves for both where it has no other.
    pub fn account(&self) -> (String, String) {
        let uid = rustix::process::getuid().as_raw().to_string();
        let accounts = fs_err::read_to_string("/etc/passwd").unwrap_or_default();
        let mut lines = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let found = lines.find(|fields| fields.get(2) == Some(&uid.as_str()));
        let login = match &found {
            Some(fields) => fields[0],
            None => self.user().unwrap_or("unknown"),
        };
        let full = found.as_ref().and_then(|fields| fields.get(4)?.split(',').next());
        (login.to_owned(), full.filter(|name| !name.is_empty()).unwrap_or(login).to_owned())
    }

    /// `$XDG_STATE_HOME/cargo-l4re`: logs and the twin's state. `None` without a home.
    pub fn state_dir(&self) -> Option<Utf8PathBuf> {
        let base = match self.get("XDG_STATE_HOME") {
            Some(dir) => Utf8PathBuf::from(dir),
            None => Utf8PathBuf::from(self.get("HOME")?).join(".local/state"),
        };
        Some(base.join("cargo-l4re"))
    }

    /// `$XDG_CACHE_HOME/cargo-l4re`: downloads that can be had again. `None` without a home.
    pub fn cache_dir(&self) -> Option<Utf8PathBuf> {
        let base = match self.get("XDG_CACHE_HOME") {
            Some(dir) => Utf8PathBuf::from(dir),
            None => Utf8PathBuf::from(self.get("HOME")?).join(".cache"),
        };
        Some(base.join("cargo-l4re"))
    }

    /// An environment made of the given variables, for tests.
    #[cfg(test)]
    pub fn of(folder: &Utf8Path, variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self { variables, folder: folder.to_owned(), program: "cargo-l4re".into() }
    }
}
