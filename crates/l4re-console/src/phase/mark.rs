//! The marks that our iPXE script prints: `l4re: <stage> <key=value…>`.
//!
//! Values end at white space; words without `=` are dropped; unknown stages are not marks.
//! A line without a stage belongs to the start: a whole sum has no room beside one.

/// The stage that a mark names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkStage {
    /// The script runs.
    Start,
    /// It fetches the image.
    Fetch,
    /// It compares the image's sum.
    Verify,
    /// It starts the image.
    Boot,
    /// It tries again after an error.
    Retry,
    /// It gave up.
    Failed,
}

/// One mark.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mark {
    /// The stage.
    pub stage: MarkStage,
    /// Keys and values in order.
    pub values: Vec<(String, String)>,
}

/// Marks are ours and short; more than this is not one.
const MAX_VALUES: usize = 32;

impl Mark {
    /// Reads a line without escapes.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let mut words = text.trim().strip_prefix("l4re: ")?.split_ascii_whitespace().peekable();
        words.peek()?;
        let stage = match words.next_if(|word| !word.contains('=')).unwrap_or("start") {
            "start" => MarkStage::Start,
            "fetch" => MarkStage::Fetch,
            "verify" => MarkStage::Verify,
            "boot" => MarkStage::Boot,
            "retry" => MarkStage::Retry,
            "failed" => MarkStage::Failed,
            _ => return None,
        };
        let values = words
            .filter_map(|word| word.split_once('='))
            .take(MAX_VALUES)
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Some(Self { stage, values })
    }

    /// The first value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_and_values_are_read() {
        let mark = Mark::parse(b"l4re: fetch try=2 url=http://h/x?a=b word").unwrap();
        assert_eq!(mark.stage, MarkStage::Fetch);
        assert_eq!(mark.get("try"), Some("2"));
        assert_eq!(mark.get("url"), Some("http://h/x?a=b"));
        assert_eq!(mark.get("word"), None);
    }

    #[test]
    fn a_sum_by_itself_belongs_to_the_start() {
        let sum = "5f".repeat(32);
        let mark = Mark::parse(format!("l4re: image={sum}").as_bytes()).unwrap();
        assert_eq!((mark.stage, mark.get("image")), (MarkStage::Start, Some(sum.as_str())));
    }

    #[test]
    fn other_lines_are_no_marks() {
        for line in ["l4re: dance a=b", "l4re:", "l4re: ", "x l4re: start", "L4RE: start"] {
            assert_eq!(Mark::parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(Mark::parse(b"l4re: start \xff"), None);
    }
}
