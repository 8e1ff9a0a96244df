//! File patterns as Perl's `glob` expands them, as far as they are plain: `*` and `?`, sorted
//! without regard to case. Braces, classes, quotes and tildes are L4Re's tools' to expand.

use camino::Utf8Path;

/// The paths that match, as written in the pattern; the pattern itself if there is nothing to
/// match in it. `None` when only Perl can tell.
pub(super) fn expand(pattern: &str, folder: &Utf8Path) -> Option<Vec<String>> {
    let special = |c: char| c.is_whitespace() || "{}[]~\\\"'`$".contains(c);
    if pattern.is_empty() || pattern.contains(special) || pattern.contains("//") {
        return None;
    }
    if !pattern.contains(['*', '?']) {
        return Some(vec![pattern.to_owned()]);
    }
    let mut paths = vec![if pattern.starts_with('/') { "/".to_owned() } else { String::new() }];
    let parts: Vec<_> = pattern.trim_start_matches('/').split('/').collect();
    for (index, part) in parts.iter().enumerate() {
        let last = index + 1 == parts.len();
        let mut found = Vec::new();
        for path in &paths {
            matching(path, part, folder, &mut found)?;
        }
        if !last {
            found.retain(|path| folder.join(path).is_dir());
            found.iter_mut().for_each(|path| path.push('/'));
        }
        paths = found;
    }
    paths.sort_by_cached_key(|path| (path.to_ascii_lowercase(), path.clone()));
    Some(paths)
}

/// Adds what matches `part` in a folder to `found`.
fn matching(path: &str, part: &str, folder: &Utf8Path, found: &mut Vec<String>) -> Option<()> {
    if !part.contains(['*', '?']) {
        if folder.join(path).join(part).symlink_metadata().is_ok() {
            found.push(format!("{path}{part}"));
        }
        return Some(());
    }
    let Ok(entries) = folder.join(path).read_dir_utf8() else { return Some(()) };
    for entry in entries {
        // A name that is not UTF-8 or has spaces: rare, and Perl's to split.
        let entry = entry.ok()?;
        let name = entry.file_name();
        let hidden = name.starts_with('.') && !part.starts_with('.');
        if !hidden && matches(name.as_bytes(), part.as_bytes()) {
            if name.contains(char::is_whitespace) || !name.is_ascii() {
                return None;
            }
            found.push(format!("{path}{name}"));
        }
    }
    Some(())
}

/// Whether a name matches a pattern; in the time of their product at most.
fn matches(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut with) = (0, 0);
    let mut star = None;
    while at < name.len() {
        match pattern.get(with) {
            Some(b'*') => {
                star = Some((at, with));
                with += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[at] => {
                at += 1;
                with += 1;
            }
            _ => {
                let Some((from, of)) = star else { return false };
                // Let the last star take one byte more.
                star = Some((from + 1, of));
                (at, with) = (from + 1, of + 1);
            }
        }
    }
    pattern[with..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_patterns() {
        for (name, pattern, wanted) in [
            ("a.cfg", "*.cfg", true),
            ("a.cfgs", "*.cfg", false),
            ("abcabd", "a*b?", true),
            ("", "*", true),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaab", "a*a*a*a*a*a*a*c", false),
        ] {
            assert_eq!(matches(name.as_bytes(), pattern.as_bytes()), wanted, "{name} {pattern}");
        }
    }

    #[test]
    fn the_same_as_perl() {
        let dir = camino_tempfile::tempdir().unwrap();
        for name in ["b.cfg", "A.cfg", "a.cfg", ".h.cfg", "B2.cfg", "sub/x.cfg", "sub2/x.cfg"] {
            let path = dir.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "").unwrap();
        }
        let absolute = format!("{}/?.cfg", dir.path());
        for pattern in ["*.cfg", "sub*/*.cfg", "?.cfg", ".*.cfg", "*.none", "sub/x.c?g", &absolute]
        {
            let perl = duct::cmd!("perl", "-e", "print map { \"$_\\n\" } glob $ARGV[0]", pattern)
                .dir(dir.path())
                .read()
                .unwrap();
            let ours = expand(pattern, dir.path()).unwrap();
            assert_eq!(ours, perl.lines().collect::<Vec<_>>(), "{pattern}");
        }
        assert_eq!(expand("{a,b}.cfg", dir.path()), None);
        assert_eq!(expand("plain", dir.path()).unwrap(), ["plain"]);
    }
}
