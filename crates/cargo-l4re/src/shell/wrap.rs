//! Text in lines no longer than a terminal is wide.

/// The text in lines no longer than `width`, as far as its words allow; all lines but the first
/// begin with `indent` blanks.
pub fn wrapped(text: &str, indent: usize, width: usize) -> String {
    let (mut lines, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            lines.push_str(&format!("\n{:indent$}{word}", ""));
            column = indent + length;
        } else {
            let blank = if column > 0 { " " } else { "" };
            lines.push_str(&format!("{blank}{word}"));
            column += blank.len() + length;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_and_what_goes_on_is_indented() {
        assert_eq!(wrapped("1. first item goes on", 3, 14), "1. first item\n   goes on");
        assert_eq!(wrapped("a-word-without-end b", 0, 5), "a-word-without-end\nb");
    }
}
