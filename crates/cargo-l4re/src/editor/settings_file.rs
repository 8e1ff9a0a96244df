//! Build trees written into a settings file: `l4re.toml`, or the metadata of a manifest.
//!
//! Comments and order stay; a key that is set already stays as well.

use camino::{Utf8Path, Utf8PathBuf};
use l4re_image::Arch;
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use super::edit::EditError;
use crate::settings::{ArchKey, PACKAGE, SHARED_FILE, WORKSPACE};

/// A file of settings, and the table in it that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFile {
    /// The file.
    pub path: Utf8PathBuf,
    root: &'static [&'static str],
}

/// The build trees of one architecture.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trees {
    /// L4Re's.
    pub build: Option<Utf8PathBuf>,
    /// The kernel's.
    pub kernel: Option<Utf8PathBuf>,
}

impl SettingsFile {
    /// The file for a project: the nearest `l4re.toml` of its repository, else the nearest
    /// manifest with a `[workspace]` or a `[package]`, else an `l4re.toml` in the folder itself.
    pub fn of(folder: &Utf8Path, manifests: bool) -> Result<Self, EditError> {
        // What lies above the repository is not the project's, though its settings hold here.
        let top = folder.ancestors().position(|dir| dir.join(".git").exists());
        let mut dirs = folder.ancestors().take(top.map_or(usize::MAX, |top| top + 1));
        if let Some(dir) = dirs.find(|dir| dir.join(SHARED_FILE).is_file()) {
            return Ok(Self { path: dir.join(SHARED_FILE), root: &[] });
        }
        let mut package = None;
        for path in folder.ancestors().map(|dir| dir.join("Cargo.toml")).filter(|_| manifests) {
            let Ok(text) = fs_err::read_to_string(&path) else { continue };
            let document = parse(&text)?;
            if document.contains_key("workspace") {
                return Ok(Self { path, root: &WORKSPACE });
            }
            if document.contains_key("package") && package.is_none() {
                package = Some(Self { path, root: &PACKAGE });
            }
        }
        Ok(package.unwrap_or_else(|| Self { path: folder.join(SHARED_FILE), root: &[] }))
    }

    /// The folder that paths count from, and that editors open.
    pub fn folder(&self) -> &Utf8Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// The text with the trees in it, and with the one that is meant where no flag says so.
    pub fn merged(
        &self,
        before: Option<&str>,
        trees: &[(Arch, Trees)],
        meant: Option<Arch>,
    ) -> Result<String, EditError> {
        let mut document = parse(before.unwrap_or_default())?;
        if let Some(arch) = meant {
            let mut name = value(ArchKey(arch).name());
            if let Some(value) = name.as_value_mut() {
                value.decor_mut().set_suffix(" # unless `--arch` names another");
            }
            table(document.as_table_mut(), self.root)?.insert("arch", name);
        }
        for (arch, trees) in trees {
            for (key, path) in [("build", &trees.build), ("kernel", &trees.kernel)] {
                let Some(path) = path else { continue };
                let path = relative(self.folder(), path);
                let mut parts = self.root.to_vec();
                parts.extend(["tree", ArchKey(*arch).name()]);
                let table = table(document.as_table_mut(), &parts)?;
                if !table.contains_key(key) {
                    table.insert(key, value(path.as_str()));
                }
            }
        }
        Ok(document.to_string())
    }
}

/// `current` without the keys that `after` has and `before` has not, as far as unchanged.
pub fn without(current: &str, before: Option<&str>, after: &str) -> Result<String, EditError> {
    let mut document = parse(current)?;
    let (before, after) = (parse(before.unwrap_or_default())?, parse(after)?);
    prune(document.as_table_mut(), Some(before.as_table()), after.as_table());
    Ok(document.to_string())
}

fn prune(current: &mut dyn TableLike, before: Option<&dyn TableLike>, after: &dyn TableLike) {
    for (key, added) in after.iter() {
        let known = before.and_then(|before| before.get(key));
        let Some(item) = current.get_mut(key) else { continue };
        match added.as_table_like() {
            Some(added) => {
                let Some(table) = item.as_table_like_mut() else { continue };
                prune(table, known.and_then(Item::as_table_like), added);
                if table.is_empty() && known.is_none() {
                    current.remove(key);
                }
            }
            None if known.is_none() && same(item, added) => drop(current.remove(key)),
            None => {}
        }
    }
}

fn same(a: &Item, b: &Item) -> bool {
    a.to_string().trim() == b.to_string().trim()
}

fn parse(text: &str) -> Result<DocumentMut, EditError> {
    text.parse().map_err(|error: toml_edit::TomlError| EditError::Toml {
        message: error.message().to_owned(),
        text: text.to_owned(),
        span: error.span(),
    })
}

/// The table at a path, made where it is missing; only the last gets a heading.
fn table<'a>(root: &'a mut Table, path: &[&str]) -> Result<&'a mut dyn TableLike, EditError> {
    let mut table: &mut dyn TableLike = root;
    for (at, part) in path.iter().enumerate() {
        if !table.contains_key(part) {
            let mut new = Table::new();
            new.set_implicit(at + 1 < path.len());
            table.insert(part, Item::Table(new));
        }
        let item = table.get_mut(part).and_then(Item::as_table_like_mut);
        table = item.ok_or_else(|| EditError::NoTable { key: path[..=at].join(".") })?;
    }
    Ok(table)
}

/// `path` as seen from `folder`, both absolute; itself where that would be no shorter way.
fn relative(folder: &Utf8Path, path: &Utf8Path) -> Utf8PathBuf {
    const FAR: usize = 3;
    let shared = folder.components().zip(path.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().count() - shared;
    if up > FAR || shared <= 1 {
        return path.to_owned();
    }
    let down = path.components().skip(shared).map(|part| part.as_str());
    std::iter::repeat_n("..", up).chain(down).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trees() -> Vec<(Arch, Trees)> {
        let build = Some("/src/build/l4re".into());
        let kernel = Some("/src/app/fiasco".into());
        vec![(Arch::X86_64, Trees { build, kernel })]
    }

    fn file(root: &'static [&'static str]) -> SettingsFile {
        SettingsFile { path: "/src/app/Cargo.toml".into(), root }
    }

    #[test]
    fn trees_in_a_manifest_keep_comments_and_order() {
        let before =
            "# top\n[workspace] # all\nmembers = []\n\n[profile.dev]\ndebug = false # why\n";
        let file = file(&["workspace", "metadata", "l4re"]);
        let after = file.merged(Some(before), &trees(), None).unwrap();
        let ours = "\n[workspace.metadata.l4re.tree.amd64]\nbuild = \"../build/l4re\"\n\
                    kernel = \"fiasco\"\n";
        assert!(after.contains(ours), "{after}");
        assert_eq!(after.replace(ours, ""), before);
        assert_eq!(file.merged(Some(&after), &trees(), None).unwrap(), after);
        assert_eq!(without(&after, Some(before), &after).unwrap(), before);
    }

    #[test]
    fn what_is_set_stays() {
        let before = "tree.amd64 = { build = \"mine\" } # here\n";
        let after = file(&[]).merged(Some(before), &trees(), None).unwrap();
        assert!(after.contains("build = \"mine\"") && after.contains("# here"), "{after}");
        assert!(after.contains("kernel = \"fiasco\""), "{after}");
        let changed = after.replace("fiasco", "other");
        assert_eq!(without(&changed, Some(before), &after).unwrap(), changed);
        assert!(matches!(
            file(&[]).merged(Some("tree = 1\n"), &trees(), None),
            Err(EditError::NoTable { .. })
        ));
    }

    #[test]
    fn the_tree_that_is_meant_is_said_where_there_are_several() {
        let line = "arch = \"amd64\" # unless `--arch` names another\n";
        let before = "[workspace]\n";
        let manifest = file(&WORKSPACE);
        let after = manifest.merged(Some(before), &trees(), Some(Arch::X86_64)).unwrap();
        assert!(after.contains(&format!("[workspace.metadata.l4re]\n{line}")), "{after}");
        assert_eq!(without(&after, Some(before), &after).unwrap(), before);
        let after = file(&[]).merged(None, &trees(), Some(Arch::X86_64)).unwrap();
        assert!(after.starts_with(line), "{after}");
        assert_eq!(without(&after, None, &after).unwrap(), "");
    }

    #[test]
    fn what_lies_above_the_repository_is_left_alone() {
        let dir = camino_tempfile::tempdir().unwrap();
        let inner = dir.path().join("home/app/src");
        fs_err::create_dir_all(&inner).unwrap();
        fs_err::write(dir.path().join("home/l4re.toml"), "").unwrap();
        let of = || SettingsFile::of(&inner, true).unwrap().path;
        assert_eq!(of(), dir.path().join("home/l4re.toml"));
        fs_err::create_dir(dir.path().join("home/app/.git")).unwrap();
        fs_err::write(dir.path().join("home/app/Cargo.toml"), "[workspace]\n").unwrap();
        assert_eq!(of(), dir.path().join("home/app/Cargo.toml"));
        fs_err::write(dir.path().join("home/app/l4re.toml"), "").unwrap();
        assert_eq!(of(), dir.path().join("home/app/l4re.toml"));
    }

    #[test]
    fn paths_are_short() {
        let relative = |path: &str| relative(Utf8Path::new("/src/app"), Utf8Path::new(path));
        assert_eq!(relative("/src/build/x"), "../build/x");
        assert_eq!(relative("/src/app/x"), "x");
        assert_eq!(relative("/opt/x"), "/opt/x");
    }
}
