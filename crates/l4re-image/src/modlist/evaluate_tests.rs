//! Entries evaluated: words, order, defaults, groups, conditions, and what is refused.

use std::collections::BTreeMap;

use camino::Utf8Path;

use super::evaluate::{Evaluated, Evaluation, evaluate};
use super::source::Source;

const LIST: &str = "\
modaddr 0x01100000
default-kernel fiasco -serial_esc
group drivers
module[arch=amd64] io
module uart
entry[arch=arm] hello
module other
entry Hello
roottask moe --init=rom/hello \"quoted\"
Module l4re
module-group drivers
module[arch=arm64,fname=cfg] a/b.cfg
module[arch=amd64,attr:nodes=0-3,fname=cfg ]   dir/b.cfg   -x  y
data-nostrip blob
entry hello
module never
entry bare
entry[no-defaults] none
kernel my/kernel
modaddr 0x2
entry own
bootstrap bootstrap -noreboot
moe conf/hello.cfg arg
searchpath more
";

fn of(list: &str, entry: &str) -> Result<Evaluated, String> {
    let dir = camino_tempfile::tempdir().unwrap();
    let file = dir.path().join("modules.list");
    fs_err::write(&file, list).unwrap();
    let source = Source::read(&file, &BTreeMap::new()).unwrap();
    let folder = Utf8Path::new("/src");
    evaluate(&source, &Evaluation { entry, arch: "amd64", bits: "64", folder })
}

fn words(evaluated: &Evaluated) -> Vec<(u64, &str, &str)> {
    evaluated.modules.iter().map(|m| (m.kind, m.file.as_str(), m.cmdline.as_str())).collect()
}

#[test]
fn an_entry_with_all_sorts_of_lines() {
    let evaluated = of(LIST, "hello").unwrap();
    assert_eq!(evaluated.cmdline, "bootstrap -modaddr=0x01100000");
    assert_eq!(
        words(&evaluated),
        [
            (1, "fiasco", "fiasco -serial_esc"),
            (2, "sigma0", "sigma0"),
            (3, "moe", "moe --init=rom/hello \"quoted\""),
            (0, "l4re", "l4re"),
            (0, "io", "io"),
            (0, "uart", "uart"),
            (0, "dir/b.cfg", "cfg -x  y"),
            (0, "blob", "blob"),
        ]
    );
    let config = &evaluated.modules[6];
    assert_eq!(config.options["attr:nodes"].as_deref(), Some("0-3"));
    assert!(evaluated.modules[7].has("nostrip"));
}

#[test]
fn defaults_and_entries_without() {
    assert_eq!(words(&of(LIST, "bare").unwrap()).len(), 3);
    let none = of(LIST, "none").unwrap();
    assert_eq!(words(&none), [(1, "my/kernel", "kernel")]);
    assert_eq!(none.cmdline, "bootstrap -modaddr=0x2");
    let own = of(LIST, "own").unwrap();
    assert_eq!(own.cmdline, "bootstrap -noreboot -modaddr=0x01100000");
    assert_eq!(own.modules[2].cmdline, "moe rom/hello.cfg arg");
    assert_eq!(own.modules[3].cmdline, "hello.cfg arg");
    assert_eq!(own.searchpath, ["/src/more"]);
}

#[test]
fn what_only_the_real_tools_can() {
    let refused = |line: &str| of(&format!("entry e\n{line}\n"), "e").unwrap_err();
    for line in [
        "module[perl] code",
        "module[shell] code",
        "module[glob] ~/*.cfg",
        "moe[glob] *.cfg",
        "module-group none",
        "set mode linux",
        "initrd rd",
        "bogus x",
        "moe",
        "moe[arch=arm] x.cfg",
        "module[fname] x",
    ] {
        let reason = refused(line);
        assert!(reason.contains("modules.list:2: "), "{line}: {reason}");
    }
    assert_eq!(of("entry e\n", "f").unwrap_err(), "no entry `f`");
    let taken = of("modaddr 1\nentry e\nbootstrap b -modaddr=%modaddr%\n", "e").unwrap_err();
    assert_eq!(taken, "a bootstrap line with -modaddr");
    // Code in other entries does not matter.
    assert!(of("entry d\nmodule[perl] die\nentry e\nmodule a\n", "e").is_ok());
}
