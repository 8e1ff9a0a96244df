//! Command lines as they could be typed, for `-v`.

/// The words, quoted for a POSIX shell where they must be.
pub fn words(argv: &[String]) -> String {
    argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_they_must_be() {
        let argv = ["make", "E=hello", "CFLAGS=-g it's", ""].map(str::to_owned);
        assert_eq!(words(&argv), r"make E=hello 'CFLAGS=-g it'\''s' ''");
    }
}
