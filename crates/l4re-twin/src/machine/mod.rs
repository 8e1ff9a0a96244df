//! Instances as machines: QEMU with the firmware and the boot chain that the instance's
//! type and AMI have.

mod accelerator;
mod argv;
mod banner;
mod disk;
mod life;
mod plan;
mod process;
mod qmp;
mod registry;
mod screen;
mod watch;

pub(crate) use accelerator::{Accelerator, probe_dir};
pub(crate) use argv::system_uuid;
pub(crate) use life::{launch, resume};
pub use plan::gdb_socket;
pub(crate) use plan::{release, remove_disks};
pub(crate) use process::end_left;
pub(crate) use registry::{Ending, Machines};
pub(crate) use screen::{Picture, picture};
