//! Where an image comes from, settled as far as can be before anything is built.

use camino::Utf8Path;
use l4re_image::{Arch, Cancel, Image, Kind};

use crate::build::{self, Way, Workplace};
use crate::commands::Context;
use crate::commands::flags::ImageFlags;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::target::{Target, Words, default_name};

/// An image to come.
#[derive(Debug, Clone)]
pub enum Source {
    /// An entry, to be built.
    Entry {
        /// The build trees.
        place: Box<Workplace>,
        /// The entry's name.
        entry: String,
        /// Platform given on the command line.
        platform: Option<String>,
        /// Variables for make.
        variables: Vec<(String, String)>,
        /// Who builds it.
        way: Way,
    },
    /// An image that exists.
    Image(Image),
}

impl Source {
    /// Settles what the words of a command line mean; fetches a URL.
    pub fn settle(
        context: &Context,
        words: Words,
        flags: &ImageFlags,
        interrupt: &Interrupt,
    ) -> Result<Self, Failure> {
        let Words { target, variables } = words;
        let path = match target {
            Target::Entry(name) => {
                let place = Workplace::find(context)?;
                let entry = place.entry(context, name.as_deref(), &variables)?;
                let (place, platform) = (Box::new(place), flags.platform.clone());
                return Ok(Self::Entry { place, entry, platform, variables, way: flags.way });
            }
            Target::Image(path) => path,
            Target::Url(url) => {
                context.shell.status("Fetching", crate::target::masked(&url));
                crate::download::fetch(&url, &context.cache()?, &context.shell, interrupt)?
            }
        };
        if let Some((name, _)) = variables.first() {
            let text = format!("{name}=… goes to make, and {path} is not built");
            return Err(Failure::Usage(text));
        }
        sound(context, &path).map(Self::Image)
    }

    /// The architecture.
    pub fn arch(&self) -> Arch {
        match self {
            Self::Entry { place, .. } => place.tree.arch(),
            Self::Image(image) => image.arch,
        }
    }

    /// The kind, if it is settled already.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Entry { .. } => None,
            Self::Image(image) => Some(image.kind),
        }
    }

    /// The entry's name, if it is one.
    pub fn entry(&self) -> Option<&str> {
        match self {
            Self::Entry { entry, .. } => Some(entry),
            Self::Image(_) => None,
        }
    }

    /// The default name of an instance that runs it.
    pub fn name(&self) -> String {
        match self {
            Self::Entry { entry, .. } => default_name(entry),
            Self::Image(image) => default_name(image.path.file_stem().unwrap_or_default()),
        }
    }

    /// The image itself: built now if it is an entry.
    pub fn image(
        &self,
        context: &Context,
        kind: Kind,
        cancel: &Cancel,
        interrupt: &Interrupt,
    ) -> Result<Image, Failure> {
        match self {
            Self::Image(image) => Ok(image.clone()),
            Self::Entry { place, entry, platform, variables, way } => {
                let request =
                    place.request(context, kind, entry, platform.as_deref(), variables)?;
                let made = build::build(context, &request, *way, cancel, interrupt)?;
                context.shell.status("Finished", build::describe(&made.image));
                Ok(made.image)
            }
        }
    }
}

/// Refuses an image that fails a check: a wrong one must not leave the desk.
fn sound(context: &Context, path: &Utf8Path) -> Result<Image, Failure> {
    let (image, inspection) = Image::inspect(path)?;
    build::sound(&inspection)?;
    if inspection.info.is_none() {
        context.shell.warn(format_args!("{} is no L4Re image: it has no image info", image.path));
    }
    Ok(image)
}
