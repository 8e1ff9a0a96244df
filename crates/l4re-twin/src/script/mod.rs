//! iPXE scripts, followed by the twin where there is no arm64 iPXE binary: commands,
//! settings and images as a cloud build of iPXE has them, downloads by the way and under
//! the checks that a guest's have.

mod commands;
mod failure;
mod fetch;
mod follow;
mod images;
mod options;
mod settings;
mod shell;

pub(crate) use follow::{Outcome, follow};
