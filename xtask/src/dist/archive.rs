//! One archive of a release: the binary and what belongs beside it.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::call::Call;
use crate::project::Project;

/// Shells with a completion script, and the names that each wants for its file.
const SHELLS: [(&str, &str); 4] = [
    ("bash", "cargo-l4re.bash"),
    ("zsh", "_cargo-l4re"),
    ("fish", "cargo-l4re.fish"),
    ("powershell", "_cargo-l4re.ps1"),
];
/// Documents at the project's root that every archive holds.
const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// An archive to be written.
pub(super) struct Archive<'a> {
    /// Its name without an ending, which is also its only folder's.
    pub(super) name: &'a str,
    /// The binary for its target.
    pub(super) binary: &'a Utf8Path,
    /// A binary that runs here, to write completions and man pages.
    pub(super) speaker: &'a Utf8Path,
}

impl Archive<'_> {
    /// Writes the archive into `out` and gives its path.
    pub(super) fn write(&self, project: &Project, out: &Utf8Path) -> Result<Utf8PathBuf> {
        let folder = out.join(self.name);
        if folder.exists() {
            fs_err::remove_dir_all(&folder)?;
        }
        for part in ["completions", "man"] {
            fs_err::create_dir_all(folder.join(part))?;
        }
        fs_err::copy(self.binary, folder.join("cargo-l4re"))?;
        for name in DOCUMENTS {
            fs_err::copy(project.root.join(name), folder.join(name))?;
        }
        for (shell, name) in SHELLS {
            let script = self.say(&["completions", shell])?;
            fs_err::write(folder.join("completions").join(name), script)?;
        }
        let pages = folder.join("man");
        self.say(&["man", "--to", pages.as_str()])?;
        let path = out.join(format!("{}.tar.gz", self.name));
        let time = project.commit_time("%ct")?;
        Call::new(tar_argv(out, self.name, &path, &time)).env("GZIP", "-n").read()?;
        fs_err::remove_dir_all(&folder)?;
        Ok(path)
    }

    fn say(&self, words: &[&str]) -> Result<String> {
        let argv = [self.speaker.as_str(), "l4re"].into_iter().chain(words.iter().copied());
        Call::new(argv).read().with_context(|| format!("what {} says", self.speaker))
    }
}

fn tar_argv(dir: &Utf8Path, folder: &str, path: &Utf8Path, time: &str) -> Vec<String> {
    let same = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"];
    let mut argv = vec!["tar".to_owned(), format!("--directory={dir}")];
    argv.extend(same.map(str::to_owned));
    argv.extend([format!("--mtime=@{time}"), "--create".to_owned(), "--gzip".to_owned()]);
    argv.extend([format!("--file={path}"), folder.to_owned()]);
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_does_not_depend_on_who_packs_it() {
        let argv = tar_argv("/out".into(), "name", "/out/name.tar.gz".into(), "12").join(" ");
        assert_eq!(
            argv,
            "tar --directory=/out --sort=name --owner=0 --group=0 --numeric-owner --format=gnu \
             --mtime=@12 --create --gzip --file=/out/name.tar.gz name"
        );
    }
}
