//! iPXE scripts, followed by the twin where there is no iPXE binary.

use std::sync::Arc;

use crate::console::Console;
use crate::twin::Twin;

/// How a script ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Boot(Vec<u8>),
    Reboot,
    PowerOff,
    Exit,
}

pub(crate) async fn follow(_twin: &Arc<Twin>, _id: &str, _console: &Arc<Console>) -> Outcome {
    Outcome::Exit
}
