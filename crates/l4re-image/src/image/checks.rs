//! The checks of an image that can be read: verdicts with a finding in words.

use super::file::ImageFile;
use super::info::Contents;
use super::inspection::{Check, CheckName, Module, ModuleKind, Verdict};
use super::layout::{Area, Layout};
use super::pe::EFI_APPLICATION;
use super::sums::ModuleSums;
use crate::arch::{Arch, Kind};

/// The checks that need no module contents.
pub(super) fn of_headers(
    file: &ImageFile,
    layout: &Layout,
    contents: Option<&Contents>,
) -> Vec<Check> {
    let (base, proper) = layout.inner.as_ref().map_or((0, layout), |i| (i.0.base(), &i.1));
    vec![
        machine(layout.arch, contents),
        subsystem(layout),
        overlap(layout, proper),
        sizes(file, layout),
        parts(contents),
        alignment(base, proper, contents),
    ]
}

fn check(name: CheckName, verdict: Verdict, detail: impl Into<String>) -> Check {
    Check { name, verdict, detail: detail.into() }
}

/// A pass, or a failure with the first finding.
fn verdict(name: CheckName, finding: Option<String>, fine: impl Into<String>) -> Check {
    match finding {
        Some(finding) => check(name, Verdict::Fail, finding),
        None => check(name, Verdict::Pass, fine),
    }
}

fn no_l4re(name: CheckName) -> Check {
    check(name, Verdict::Skip, "no L4Re image info")
}

fn machine(arch: Arch, contents: Option<&Contents>) -> Check {
    let Some(contents) = contents else { return no_l4re(CheckName::Machine) };
    let stated = Arch::from_image_flags(contents.info.flags);
    let finding = (stated != Some(arch)).then(|| {
        let stated = stated.map_or("an unknown architecture".to_owned(), |a| a.to_string());
        format!("the headers say {arch}, the image info says {stated}")
    });
    verdict(CheckName::Machine, finding, arch.to_string())
}

fn subsystem(layout: &Layout) -> Check {
    let name = CheckName::Subsystem;
    match layout.pe.as_ref().map(|pe| pe.subsystem) {
        None => check(name, Verdict::Skip, "not a PE file"),
        Some(EFI_APPLICATION) => check(name, Verdict::Pass, "EFI application"),
        Some(driver @ 11..=12) => {
            check(name, Verdict::Warn, format!("an EFI driver (subsystem {driver})"))
        }
        Some(other) => {
            check(name, Verdict::Fail, format!("not an EFI application (subsystem {other})"))
        }
    }
}

fn overlap(layout: &Layout, proper: &Layout) -> Check {
    let in_memory = |area: &Area| (area.address, area.memory);
    let in_file = |area: &Area| (area.offset, area.bytes);
    let finding = [layout, proper].into_iter().find_map(|layout| {
        let memory = first_overlap(&layout.areas, in_memory).map(|pair| (pair, "addresses"));
        memory
            .or_else(|| first_overlap(&layout.areas, in_file).map(|pair| (pair, "bytes")))
            .map(|((a, b), what)| format!("{a} and {b} share {what}"))
    });
    let count = layout.areas.len();
    let what = if layout.kind == Kind::Efi { "sections" } else { "segments" };
    verdict(CheckName::Overlap, finding, format!("{count} {what} apart from each other"))
}

fn first_overlap(areas: &[Area], range: impl Fn(&Area) -> (u64, u64)) -> Option<(&str, &str)> {
    let mut sorted: Vec<_> = areas.iter().filter(|area| range(area).1 > 0).collect();
    sorted.sort_by_key(|area| range(area));
    sorted.windows(2).find_map(|pair| {
        let (start, len) = range(pair[0]);
        let meets = start.saturating_add(len) > range(pair[1]).0;
        meets.then_some((pair[0].name.as_str(), pair[1].name.as_str()))
    })
}

fn sizes(file: &ImageFile, layout: &Layout) -> Check {
    let finding = match &layout.pe {
        Some(_) => pe_sizes(layout),
        None => elf_sizes(layout)
            .or_else(|| layout.inner.as_ref().and_then(|inner| elf_sizes(&inner.1))),
    };
    verdict(CheckName::Sizes, finding, format!("the headers fit the file of {} bytes", file.len()))
}

fn pe_sizes(layout: &Layout) -> Option<String> {
    let pe = layout.pe.as_ref()?;
    let (headers, image) = (u64::from(pe.headers_size), u64::from(pe.image_size));
    if pe.table_end > headers {
        return Some(format!("SizeOfHeaders is {headers}, the headers take {}", pe.table_end));
    }
    let end = layout.areas.iter().map(|area| area.address + area.memory).max()?;
    (end > image).then(|| format!("SizeOfImage is {image:#x}, the sections end at {end:#x}"))
}

fn elf_sizes(layout: &Layout) -> Option<String> {
    let area = layout.areas.iter().find(|area| area.bytes > area.memory)?;
    Some(format!("{} has {} bytes for {} in memory", area.name, area.bytes, area.memory))
}

fn parts(contents: Option<&Contents>) -> Check {
    let Some(contents) = contents else { return no_l4re(CheckName::Parts) };
    let count = |kind| contents.modules.iter().filter(|module| module.kind == kind).count();
    let alone = count(ModuleKind::Sigma0) + count(ModuleKind::Roottask) == 0;
    if alone && count(ModuleKind::Kernel) == 1 {
        let detail = "a kernel alone, as in its unit tests: no sigma0, no roottask";
        return check(CheckName::Parts, Verdict::Warn, detail);
    }
    let wanted = [
        (ModuleKind::Kernel, "kernel"),
        (ModuleKind::Sigma0, "sigma0"),
        (ModuleKind::Roottask, "roottask"),
    ];
    let finding = wanted.into_iter().find_map(|(kind, name)| match count(kind) {
        1 => None,
        0 => Some(format!("no {name}")),
        more => Some(format!("{more} modules are marked as {name}")),
    });
    verdict(CheckName::Parts, finding, "kernel, sigma0, roottask")
}

/// `base` is where the image proper starts in the file.
fn alignment(base: u64, proper: &Layout, contents: Option<&Contents>) -> Check {
    let name = CheckName::Alignment;
    let Some(contents) = contents else { return no_l4re(name) };
    let page = page_size(proper.arch);
    let mut end = 0;
    for module in &contents.modules {
        if module.file_offset < end {
            let detail = format!("{} starts within the module before it", module.name);
            return check(name, Verdict::Fail, detail);
        }
        end = module.file_offset + module.size;
    }
    let start = contents.info.module_data_start;
    let Some(data) = proper.file_offset(start) else {
        return check(name, Verdict::Warn, "the start of the module data is not in the image");
    };
    let crooked = contents.modules.iter().find(|module| {
        let address = start.wrapping_add(module.file_offset.wrapping_sub(base + data));
        !address.is_multiple_of(page)
    });
    match crooked {
        Some(module) => {
            check(name, Verdict::Warn, format!("{} is not at a page boundary", module.name))
        }
        None => check(name, Verdict::Pass, format!("modules at pages of {page} bytes, in order")),
    }
}

/// The size to which L4Re aligns modules (`page_size` of its `Image.pm`).
pub(crate) const fn page_size(arch: Arch) -> u64 {
    match arch {
        Arch::Mips32 | Arch::Mips64 => 1 << 14,
        _ => 1 << 12,
    }
}

/// Compares what modules add up to with what the image states; without sums, they share bytes.
pub(super) fn of_sums<'a>(
    summed: Option<impl Iterator<Item = (&'a Module, &'a ModuleSums)>>,
) -> Check {
    let Some(summed) = summed else {
        return check(CheckName::Sums, Verdict::Skip, "modules share bytes or are out of order");
    };
    let mut count = 0;
    for (module, sums) in summed {
        count += 1;
        if let Some(finding) = wrong_sum(module, sums) {
            let detail = format!("module {}: {finding}", module.name);
            return check(CheckName::Sums, Verdict::Fail, detail);
        }
    }
    match count {
        0 => check(CheckName::Sums, Verdict::Skip, "no modules"),
        _ => check(CheckName::Sums, Verdict::Pass, format!("{count} modules")),
    }
}

fn wrong_sum(module: &Module, sums: &ModuleSums) -> Option<String> {
    let unpacked = match &sums.md5_uncompressed {
        Ok(md5) => md5,
        Err(reason) => return Some(reason.clone()),
    };
    if *unpacked != module.md5_uncompressed {
        return Some(format!("its MD5 is {unpacked}, not {}", module.md5_uncompressed));
    }
    // L4Re's tool sums the unpacked file for both when it compresses (`update_module`).
    let stated_packed = [&sums.md5, unpacked].contains(&&module.md5);
    (!stated_packed).then(|| format!("its packed MD5 is {}, not {}", sums.md5, module.md5))
}
