//! The twin that commands work with: which one the settings mean, whether it runs, its start.

mod daemon;
mod memory;
mod settings;

pub use self::daemon::{ensure, ensure_with, running, start_apart};
pub use self::memory::machines;
pub use self::settings::{config, config_with, dir, warn_of_other_settings};
