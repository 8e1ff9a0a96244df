//! Proof that what runs is what was built: what the image says of itself on the console,
//! beside what its file says.

use l4re_console::follow::Report;
use l4re_console::phase::{Agreement, ImageInfo};
use l4re_console::verdict::Verdict;
use l4re_image::Image;

use crate::failure::Failure;
use crate::shell::Shell;

/// What the console of a machine that runs this image must say.
pub fn expected_of(image: &Image) -> Result<ImageInfo, Failure> {
    let inspection = l4re_image::inspect(&image.path)?;
    let sha256 = Some(image.sha256.clone());
    if inspection.sha256 != sha256 {
        // The file was built anew meanwhile: of what was uploaded only the sum is known.
        return Ok(ImageInfo { sha256, ..ImageInfo::default() });
    }
    let attribute = |key| inspection.attribute(key).map(str::to_owned);
    Ok(ImageInfo {
        sequence: attribute("l4i:sequence"),
        // As the bootstrapper reads them: the base image is what was created.
        created: attribute("l4i:modification-date"),
        bootstrap_built: attribute("l4i:creation-date"),
        sha256,
        verified: None,
    })
}

/// Tells whether what ran was what was built, as far as the console said; of a machine that has
/// not booted nothing, nor of what the verdict says itself.
pub(super) fn tell(shell: &Shell, report: &Report, built: &ImageInfo) -> Agreement {
    let agreement = report.image.agreement_with(built);
    if matches!(report.verdict, Verdict::WrongImage { .. }) {
        return agreement;
    }
    match &agreement {
        Agreement::Same { by } => {
            shell
                .status("Proven", format_args!("what ran is what was built, by {}", by.join(", ")));
        }
        Agreement::Different { what, runs, built } => shell.warn(format_args!(
            "another image ran than was built: its {what} is {runs}, not {built}"
        )),
        Agreement::Unknown if report.boots > 0 => {
            shell.note("the console does not say which image ran, so nothing is proven");
        }
        Agreement::Unknown => {}
    }
    agreement
}
