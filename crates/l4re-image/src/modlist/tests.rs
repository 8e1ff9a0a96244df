//! Module lists with includes, conditions and code.

use super::{Entry, ListOptions};
use crate::tree::TreeError;
use crate::tree::sample::SampleTree;

const LIST: &str = "\
modaddr 0x01100000
# The usual start.
# Prints for ever.
entry hello
module l4re

# not a comment of the next

entry[arch=x86|amd64] framebuffer-example
include more.list
entry[arch=arm64] other
entry[bits=32] narrow
title A title with spaces   # remark
";

fn listed(sample: &SampleTree, options: &ListOptions) -> Result<Vec<Entry>, TreeError> {
    sample.tree().entries(options)
}

fn names(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[test]
fn entries_with_places_and_comments() {
    let sample = SampleTree::new(LIST, "");
    sample.write("src/conf/more.list", "entry deep\nInclude sub/${ARCH}.list\n");
    sample.write("src/conf/sub/amd64.list", "entry deeper");
    let entries = listed(&sample, &ListOptions::default()).unwrap();
    let expected = ["hello", "framebuffer-example", "deep", "deeper", "A title with spaces"];
    assert_eq!(names(&entries), expected);
    assert_eq!(entries[0].comment.as_deref(), Some("The usual start.\nPrints for ever."));
    assert_eq!((entries[0].line, &entries[1].comment), (Some(4), &None));
    assert_eq!(entries[1].archs, ["x86", "amd64"]);
    assert_eq!(entries[3].file, sample.path("src/conf/sub/amd64.list"));
    let all = ListOptions { all_archs: true, ..ListOptions::default() };
    assert_eq!(listed(&sample, &all).unwrap().len(), 7);
}

#[test]
fn the_files_that_a_list_names() {
    let sample = SampleTree::new(
        "entry a\nkernel fiasco -v\nmodule[fname=x] /d/vm.cfg\nentry b\nmodule[perl] 1",
        "",
    );
    let named = || sample.tree().named_files(&ListOptions::default(), "a");
    let names = named().unwrap();
    for name in ["modules.list", "fiasco", "vm.cfg"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(!names.contains("console.log"));
    for line in ["module[glob] *.cfg", "module[shell] ls", "include nowhere.list"] {
        sample.write("src/conf/modules.list", format!("entry a\n{line}\n"));
        assert_eq!(named(), None, "{line}");
    }
}

#[test]
fn includes_that_lead_nowhere_or_in_circles() {
    let sample = SampleTree::new("entry a\ninclude b.list\nentry z\n", "");
    let error = listed(&sample, &ListOptions::default()).unwrap_err().to_string();
    assert!(error.contains("conf/modules.list:2: cannot read included"), "{error}");
    sample.write("src/conf/b.list", "entry b\ninclude modules.list\ninclude b.list\n");
    let entries = listed(&sample, &ListOptions::default()).unwrap();
    assert_eq!(names(&entries), ["a", "b", "z"]);
    sample.write("src/conf/b.list", "include c.list\n".repeat(2000));
    sample.write("src/conf/c.list", "entry c\n");
    let error = listed(&sample, &ListOptions::default()).unwrap_err();
    assert!(matches!(error, TreeError::TooManyIncludes { .. }));
}

#[test]
fn lists_are_looked_for_as_make_does() {
    let sample = SampleTree::new(LIST, "");
    sample.write("build/assets/modlist/mine.list", "entry mine\n");
    sample.write("elsewhere.list", "entry elsewhere\n");
    let of = |name: camino::Utf8PathBuf| {
        let options = ListOptions { modules_list: Some(name), ..ListOptions::default() };
        listed(&sample, &options)
    };
    assert_eq!(names(&of("mine.list".into()).unwrap()), ["mine"]);
    assert_eq!(names(&of(sample.path("elsewhere.list")).unwrap()), ["elsewhere"]);
    let error = of("none.list".into()).unwrap_err().to_string();
    assert!(error.starts_with("no module list none.list in "), "{error}");
}

#[test]
fn code_is_left_to_the_tools_of_the_tree() {
    let sample = SampleTree::new("entry a\nentry[perl] join('-', 1, 2)\n", "");
    let error = listed(&sample, &ListOptions::default()).unwrap_err().to_string();
    assert!(error.contains("modules.list:2: an entry name made by [perl]"), "{error}");
    let library = "package L4::ModList; sub get_entries { return ('a', \"1-$ENV{BITS}\") } 1;";
    sample.write("src/tool/lib/L4/ModList.pm", library);
    let entries = listed(&sample, &ListOptions::default()).unwrap();
    assert_eq!(names(&entries), ["a", "1-64"]);
    assert_eq!((entries[0].line, entries[1].line), (Some(1), None));
}
