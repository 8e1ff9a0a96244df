//! Secrets taken out of text: what looks like one, and what is known to be one.
//!
//! Rather too much than too little: a sum of hexadecimal digits and a path stay, other long
//! words of random letters do not.

use std::borrow::Cow;

use regex::{Captures, Regex};

use crate::environment::Environment;

/// What stands for a secret.
const GONE: &str = "…";
/// Shorter values of variables are no secrets, and would take half of a text away.
const SHORTEST: usize = 6;
/// Random words are at least as long as AWS's secret keys.
const RANDOM: usize = 40;

/// What looks like a secret, and what to leave of it.
const PATTERNS: [(&str, &str); 12] = [
    (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)", GONE),
    (r#"([A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>?]+)\?[^\s"'<>]*"#, "$1?…"),
    (r#"(://)[^\s/@"']+@"#, "$1…@"),
    (r#"\b([\w.-]+:)[^\s/@:"']{4,}@([A-Za-z][\w.-]*)"#, "$1…@$2"),
    (r"\b(AKIA|ASIA|AIDA|AROA|ABIA|ACCA)[A-Z0-9]{8,}", "$1…"),
    (r#"(?im)((?:authorization|cookie)["']?\s*[:=]\s*)[^\n]*"#, "$1…"),
    (r"(?i)\b(bearer )[\w+/.~=-]{6,}", "$1…"),
    // Tokens of forges, registries and services, by the beginnings that those give them.
    (r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-|npm_|pypi-|hf_|sk-)[\w-]{12,}", GONE),
    (r"\beyJ[\w-]+\.[\w-]+(\.[\w-]*)?", GONE),
    (
        r#"(?i)((?:secret|token|passw(?:or)?d|passphrase|credential|signature|private_?key|access_?key|api_?key|\bauth)[\w-]*["']?\s*[=:]\s*)("[^"\n]*"|'[^'\n]*'|[^\s,;&}]+)"#,
        "$1…",
    ),
    (r#"\b([A-Z0-9_]+_(?:KEY|PASS|PWD|PSK)\s*=\s*)("[^"\n]*"|'[^'\n]*'|[^\s,;&}]+)"#, "$1…"),
    // What a flag takes, and what is said aloud.
    (
        r#"(?i)((?:--?[\w-]*(?:secret|token|passw(?:or)?d|passphrase)[\w-]*|\bpassw(?:or)?d(?: is)?)\s+)[^\s"'-][^\s"']*"#,
        "$1…",
    ),
];

/// Takes secrets out of text.
#[derive(Debug)]
pub struct Mask {
    known: Vec<String>,
    patterns: Vec<(Regex, &'static str)>,
    random: Regex,
}

impl Mask {
    /// A mask that knows the environment's own secrets.
    pub fn new(environment: &Environment) -> Result<Self, regex::Error> {
        let all = environment.all();
        let named = all.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        let mut known: Vec<String> = named
            .filter(|(name, value)| is_secret(name) && value.len() >= SHORTEST)
            .map(|(_, value)| value.to_owned())
            .collect();
        // The longest first, so that one which holds another goes as a whole.
        known.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let read = |(pattern, left): (&str, &'static str)| Ok((Regex::new(pattern)?, left));
        let patterns = PATTERNS.into_iter().map(read).collect::<Result<_, regex::Error>>()?;
        Ok(Self { known, patterns, random: Regex::new(&format!("[A-Za-z0-9+/]{{{RANDOM},}}"))? })
    }

    /// The text without secrets.
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.known {
            text = text.replace(value, GONE);
        }
        for (pattern, left) in &self.patterns {
            text = pattern.replace_all(&text, *left).into_owned();
        }
        let word = |found: &Captures<'_>| match is_random(&found[0]) {
            true => Cow::Borrowed(GONE),
            false => Cow::Owned(found[0].to_owned()),
        };
        self.random.replace_all(&text, |found: &Captures<'_>| word(found).into_owned()).into_owned()
    }
}

/// Whether a variable's name says that its value is for few eyes.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    let parts = ["SECRET", "TOKEN", "PASSW", "PASSPHRASE", "CREDENTIAL", "PRIVATE", "API_KEY"];
    parts.iter().any(|part| name.contains(part))
        || name.contains("ACCESS_KEY")
        || ["_PAT", "_PASS", "_PWD", "_PSK"].iter().any(|end| name.ends_with(end))
}

/// Whether a long word is of random letters: no sum, no path.
fn is_random(word: &str) -> bool {
    let has = |is: fn(&char) -> bool| word.chars().any(|c| is(&c));
    let mixed =
        has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit);
    mixed && !word.starts_with('/')
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    fn masked(text: &str) -> String {
        let variables = [
            ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2"),
            ("GITHUB_TOKEN", "short"),
            ("USER", "somebody"),
        ];
        let environment = Environment::of(Utf8Path::new("/w"), &variables);
        Mask::new(&environment).unwrap().apply(text)
    }

    #[test]
    fn secrets_go() {
        for (text, left) in [
            (
                "get https://b.s3.amazonaws.com/k.efi?X-Amz-Signature=ab12 ok",
                "get https://b.s3.amazonaws.com/k.efi?… ok",
            ),
            ("clone https://me:pw@host/x", "clone https://…@host/x"),
            ("id AKIAIOSFODNN7EXAMPLE.", "id AKIA…."),
            ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "aws_secret_access_key = …"),
            ("\"SessionToken\": \"IQoJb3JpZ2lu\", x", "\"SessionToken\": …, x"),
            ("Authorization: AWS4-HMAC-SHA256 Credential=A, Signature=b", "Authorization: …"),
            ("password=abc next", "password=… next"),
            ("it is hunter2hunter2!", "it is …!"),
            ("&X-Amz-Credential=AB/2026&x", "&X-Amz-Credential=…&x"),
            ("key eyJhbGciOi.eyJzdWIi.sig end", "key … end"),
            ("push ghp_0123456789abcdefghij", "push …"),
            ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "…"),
            ("ssh root:hunter3@example.org", "ssh root:…@example.org"),
            ("Set-Cookie: session=abc; Path=/", "Set-Cookie: …"),
            ("Bearer abcdefg1", "Bearer …"),
            ("push glpat-0123456789abcdef now", "push … now"),
            ("FOO_KEY=abc def", "FOO_KEY=… def"),
            ("FOO_PASS=abc PWD=/src", "FOO_PASS=… PWD=/src"),
            ("moe --token abc --auth=def -v", "moe --token … --auth=… -v"),
            ("the password is abc, the passwd def", "the password is … the passwd …"),
        ] {
            assert_eq!(masked(text), left);
        }
        let key =
            "a\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\nz";
        assert_eq!(masked(key), "a\n…\nz");
        assert_eq!(masked("-----BEGIN RSA PRIVATE KEY-----\ncut off"), "…");
    }

    #[test]
    fn what_helps_stays() {
        for text in [
            "sha256 633a9ba061c5f0a1b2c3d4e5f60718293a4b5c6d7e8f90123456789abcdef012",
            "/home/Somebody1/src/l4re/obj/build/amd64/images/bootstrap",
            "Launching c7i-flex.large in eu-central-1a (i-08023a83760e159c4) for somebody",
            "L4RE_TEST_TREE_AMD64=/work/main/target/demo/amd64/and/further",
            "ttl = \"2h\"  # /src/app/l4re.toml:1:1",
            "http://169.254.169.254/latest/user-data... ok",
            "unknown key: did you mean `bucket`? The token has expired",
            "mod00: /b/fiasco-amd64/fiasco [710 KiB] at 10:02:33",
            "tests/a.rs:12:5: error: no such field; mail to me@example.org",
        ] {
            assert_eq!(masked(text), text);
        }
    }
}
