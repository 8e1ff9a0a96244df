//! KVM or TCG: found by running something, once, and said once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::io::AsyncReadExt as _;
use tokio::sync::OnceCell;

use crate::machine::argv::{escaped, talk};
use crate::machine::process::{end_left, spawn};
use crate::machine::qmp::connect;
use crate::{Accel, Config, Firmware};

/// How long a working KVM may take to UEFI's first output: it takes less than a second.
const PROBE: Duration = Duration::from_secs(5);

/// What instances run with.
#[derive(Debug)]
pub(crate) struct Accelerator {
    choice: Accel,
    firmware: Firmware,
    dir: Utf8PathBuf,
    found: OnceCell<bool>,
    /// KVM that stopped a guest after its probe: not used again.
    broken: AtomicBool,
}

impl Accelerator {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            choice: config.accel,
            firmware: config.firmware.clone(),
            dir: config.dir.clone(),
            found: OnceCell::new(),
            broken: AtomicBool::new(false),
        }
    }

    /// Whether KVM works.
    pub(crate) async fn kvm(&self) -> bool {
        let find = async || {
            let kvm = match self.choice {
                Accel::Kvm => true,
                Accel::Tcg => false,
                Accel::Auto => self.probe().await,
            };
            tracing::info!("instances run with {}", if kvm { "KVM" } else { "TCG" });
            kvm
        };
        *self.found.get_or_init(find).await && !self.broken.load(Ordering::Relaxed)
    }

    /// KVM failed a guest, as it may with some firmware: TCG from now on.
    pub(crate) fn fall_back(&self) {
        if !self.broken.swap(true, Ordering::Relaxed) {
            tracing::warn!("KVM stopped a guest: instances run with TCG from now on");
        }
    }

    /// The name for people: `kvm` or `tcg`.
    pub(crate) async fn name(&self) -> &'static str {
        if self.kvm().await { "kvm" } else { "tcg" }
    }

    /// A device file proves nothing, and neither does SeaBIOS, which runs where UEFI does not.
    async fn probe(&self) -> bool {
        let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
        if device.is_err() || !self.firmware.ovmf_code.is_file() {
            return false;
        }
        run_probe(&self.firmware, &self.dir).await.unwrap_or(false)
    }
}

fn probe_argv(firmware: &Firmware) -> Vec<String> {
    let words = "-no-user-config -nodefaults -display none -machine q35 -accel kvm -cpu host \
                 -m 128M";
    let flash =
        format!("if=pflash,unit=0,format=raw,readonly=on,file={}", escaped(&firmware.ovmf_code));
    let mut argv: Vec<String> = [firmware.qemu_x86_64.as_str()]
        .into_iter()
        .chain(words.split_whitespace())
        .chain(["-drive", &flash])
        .map(str::to_owned)
        .collect();
    talk(&mut |name, value| argv.extend([format!("-{name}"), value]));
    argv
}

/// Whether UEFI comes as far as its console.
async fn run_probe(firmware: &Firmware, dir: &Utf8Path) -> std::io::Result<bool> {
    let dir = probe_dir(dir);
    fs_err::create_dir_all(&dir)?;
    // A daemon that was killed in the middle of its own may have left it.
    end_left(&dir);
    let mut process = spawn(probe_argv(firmware), &dir).await?;
    let (mut events, _commands) = connect(process.qmp).await?;
    let mut first = [0];
    let works = tokio::select! {
        read = process.serial.read(&mut first) => matches!(read, Ok(1)),
        // The guest's processor stopped, or QEMU is gone.
        _ = events.next() => false,
        () = tokio::time::sleep(PROBE) => false,
    };
    process.killer.kill();
    let _ = process.exit.readable().await;
    let _ = fs_err::remove_dir_all(&dir);
    Ok(works)
}

/// Where the probe runs.
pub(crate) fn probe_dir(state_dir: &Utf8Path) -> Utf8PathBuf {
    state_dir.join("kvm-probe")
}
