//! The nearest known names to one that is not known, for "did you mean".

/// The candidates that look most like `name`, best first, at most three.
///
/// A candidate counts when it contains the name, is contained in it, or is at least 0.7
/// similar to it (Jaro-Winkler, case ignored).
pub fn nearest<'a, I>(name: &str, candidates: I) -> Vec<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let wanted = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = candidates
        .into_iter()
        .map(|candidate| (similarity(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= 0.7)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.truncate(3);
    scored.into_iter().map(|(_, candidate)| candidate).collect()
}

fn similarity(wanted: &str, candidate: &str) -> f64 {
    let alike = strsim::jaro_winkler(wanted, candidate);
    let part = wanted.len().min(candidate.len()) >= 3
        && (candidate.contains(wanted) || wanted.contains(candidate));
    if part { alike.max(0.8) } else { alike }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const ENTRIES: [&str; 5] = ["hello", "hello-cfg", "hello-shared", "VM-basic", "ipcbench"];

    #[test]
    fn typos_and_parts() {
        assert_eq!(nearest("helo", ENTRIES)[0], "hello");
        assert_eq!(nearest("vm-basc", ENTRIES), ["VM-basic"]);
        assert_eq!(nearest("shared", ENTRIES), ["hello-shared"]);
        assert!(nearest("zzz", ENTRIES).is_empty());
        assert!(nearest("", ENTRIES).is_empty());
    }
}
