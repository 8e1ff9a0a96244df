//! Driving L4Re's make: what to ask it (pure), running it, and what its errors mean.

mod cause;
mod error;
mod old;
mod package;
mod process;
mod request;
mod run;
mod watch;

pub use cause::Cause;
pub use error::{MakeError, MakeFailure};
pub use package::make_package;
pub use process::Cancel;
pub use request::{MakeRequest, make_argv};
pub use run::{Made, make};
pub(crate) use run::{check_headers, standard_link};

#[cfg(test)]
mod tests;
