//! What `cargo l4re init` writes for a project: settings, and tasks of editors.
//!
//! Every change is kept as the text before and after it, so that it can be taken back
//! exactly; what a user has changed since stays.

mod edit;
mod nearby;
mod record;
mod settings_file;
mod task;
mod tasks_file;
mod watch_lines;

pub use self::edit::{Change, Edit, EditError, ignored, read, take_back};
pub use self::nearby::search;
pub use self::record::Record;
pub use self::settings_file::{SettingsFile, Trees};
pub use self::task::tasks;
pub use self::tasks_file::{Editor, merged};
