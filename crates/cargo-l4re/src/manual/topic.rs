//! The pages of the book that the program carries with it.

/// A page.
#[derive(Debug, Clone, Copy)]
pub struct Topic {
    /// Its name: that of the page's file.
    pub name: &'static str,
    /// Its text, in Markdown.
    pub text: &'static str,
}

impl Topic {
    /// Its heading.
    pub fn title(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches('#').trim()
    }
}

/// A topic of the page of that name.
macro_rules! topics {
    ($($name:literal),* $(,)?) => {
        &[$(Topic { name: $name, text: include_str!(concat!("../../book/", $name, ".md")) }),*]
    };
}

/// All topics, in the order of the book.
pub const TOPICS: &[Topic] = topics![
    "introduction",
    "first-image",
    "ec2",
    "boot-chains",
    "loop",
    "testing",
    "twin",
    "console",
    "editors",
    "ci",
    "costs",
    "security",
    "troubleshooting",
    "how-it-works",
    "settings",
    "environment",
    "shells",
    "messages",
    "exit-codes",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_page_of_the_book_is_a_topic() {
        let summary = include_str!("../../book/SUMMARY.md");
        let links = summary.split("](").skip(1).filter_map(|rest| rest.split(".md)").next());
        // The reference of commands is what `--help` says.
        let pages: Vec<_> = links.filter(|name| *name != "commands").collect();
        let topics: Vec<_> = TOPICS.iter().map(|topic| topic.name).collect();
        assert_eq!(topics, pages);
        assert!(TOPICS.iter().all(|topic| !topic.title().is_empty()));
    }
}
