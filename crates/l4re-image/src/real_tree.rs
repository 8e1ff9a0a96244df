#[cfg(test)]
mod tests {
    use crate::*;
    #[test]
    fn scratch() {
        let tree = BuildTree::open("/work/real/build/l4re-amd64".into()).unwrap();
        println!("{tree:?}");
        for e in tree.entries(&ListOptions::default()).unwrap() { println!("{e:?}"); }
        println!("{:?}", tree.platforms());
        for (kind, entry, plat) in [(Kind::Efi, "hello", None), (Kind::Efi, "helo", None), (Kind::Elf, "VM-basic-pci", None), (Kind::Elf, "hello", Some("pcc")),(Kind::Elf, "hello", Some("arm_sbsa")), (Kind::Elf, "ipcbench", None)] {
            let mut r = MakeRequest::new(tree.clone(), kind, entry);
            r.platform = plat.map(str::to_owned);
            r.kernel = Some(KernelTree::open("/work/real/build/fiasco-amd64".into()).unwrap());
            println!("{:?}", make_argv(&r));
            let t = std::time::Instant::now();
            let x = make(&r, &Cancel::default(), &mut |b| print!("{}", String::from_utf8_lossy(b)));
            println!("{:?} {x:#?}", t.elapsed());
        }
    }
}
