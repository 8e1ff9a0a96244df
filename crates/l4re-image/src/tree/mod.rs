//! Build trees: L4Re's and the kernel's, recognised by what is in them, never by name.

mod build;
mod error;
mod kernel;
mod package;

pub use build::BuildTree;
pub use error::TreeError;
pub use kernel::KernelTree;
pub use package::Package;

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
