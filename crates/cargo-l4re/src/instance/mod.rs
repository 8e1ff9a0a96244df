//! Instances from here: the connection to EC2 or the twin, launching, and the console.
//!
//! There is one path. The twin differs in its endpoints and in nothing else.

mod ami;
mod attach;
mod connect;
mod end_watch;
mod keeper;
mod launch;
mod local;
mod log_file;
mod money;
mod names;
mod narrate;
mod park;
mod proof;
mod serial;
mod show;
mod summary;
mod warm;

pub use self::ami::{of_disk, planned_ami};
pub use self::attach::{Attachment, Ending, attach, judged, show_kept};
pub use self::connect::{Account, Connection, Elsewhere, Where, connect, connect_to};
pub use self::keeper::{Keeper, detach, keep};
pub use self::launch::{Launches, Recipe, build, dry_run, image, launch, planned_upload, upload};
pub use self::local::{attach_local, keeps_source};
pub use self::log_file::check_log;
pub use self::money::{Money, Prices};
pub use self::names::{names, profiles, regions};
pub use self::park::{Parking, park, planned_park};
pub use self::proof::expected_of;
pub use self::show::Show;
pub use self::summary::{is_metal, masked_script, phases, ready_again};
pub use self::warm::{planned_on, redeploy};
