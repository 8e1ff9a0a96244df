//! What a bug report needs, in one text, with nothing secret in it.

mod bundle;
mod gather;
mod mask;

pub use self::bundle::Bundle;
pub use self::gather::{environment, logs, settings, trees, versions};
pub use self::mask::Mask;
