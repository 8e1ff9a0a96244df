//! The lines by which an editor tells that `cargo l4re watch` begins and ends a round.
//!
//! Editors are told by these patterns, so the words of `watch` are part of its interface. A
//! status line begins with its verb, right-aligned: what a guest prints does so hardly ever.

/// What `watch` says when a round begins.
pub const BEGINS: &str = r"^ {4}Building ";
/// What `watch` says when a round is over.
pub const ENDS: &str = r"^( {7}Ready| {6}Failed) ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_told_from_what_guests_print() {
        let says = |pattern: &str, line: &str| regex::Regex::new(pattern).unwrap().is_match(line);
        assert!(says(BEGINS, &format!("{:>12} hello", "Building")));
        assert!(says(ENDS, &format!("{:>12} hello-2 boots, after 0.21 s", "Ready")));
        assert!(says(ENDS, &format!("{:>12} hello; what ran before stays", "Failed")));
        // Between rounds nothing begins: an editor would take back what it has listed.
        assert!(!says(BEGINS, &format!("{:>12} hello", "Watching")));
        for line in ["Ready to go", "  Failed", "Building a house"] {
            assert!(!says(BEGINS, line) && !says(ENDS, line), "{line}");
        }
    }
}
