//! Command lines as they could be typed, for `-v`, and things that are counted.

/// The words, quoted for a POSIX shell where they must be.
pub fn words(argv: &[String]) -> String {
    let argv = || argv.iter().map(String::as_str);
    // A word with a zero byte is the only one that cannot be quoted, and none can be passed on.
    shlex::try_join(argv()).unwrap_or_else(|_| argv().collect::<Vec<_>>().join(" "))
}

/// `1 run`, `2 runs`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_they_must_be() {
        let argv = ["make", "E=hello", "CFLAGS=-g it's", ""].map(str::to_owned);
        let line = words(&argv);
        assert!(line.starts_with("make "), "{line}");
        assert_eq!(shlex::split(&line).unwrap(), argv);
    }
}
