//! KVM or TCG: found by running something, once, and said once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Notify, OnceCell};

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
    fell: Notify,
    /// Whether a guest of KVM can be a hypervisor itself.
    nested: bool,
}

impl Accelerator {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            choice: config.accel,
            firmware: config.firmware.clone(),
            dir: config.dir.clone(),
            found: OnceCell::new(),
            broken: AtomicBool::new(false),
            fell: Notify::new(),
            nested: is_nested(Utf8Path::new("/sys/module")),
        }
    }

    /// Whether KVM is to run a machine: one whose guest may be a hypervisor only where that is
    /// true under KVM, too.
    pub(crate) async fn runs(&self, hypervisor: bool) -> bool {
        self.kvm().await && (self.nested || !hypervisor)
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

    /// KVM failed a guest, as it may with some firmware: TCG from now on. `false`: nothing but
    /// KVM is wanted.
    pub(crate) fn fall_back(&self) -> bool {
        if self.choice == Accel::Kvm {
            return false;
        }
        if !self.broken.swap(true, Ordering::Relaxed) {
            tracing::warn!("KVM stopped a guest: instances run with TCG from now on");
            self.fell.notify_one();
        }
        true
    }

    /// Returns when TCG has taken over, once.
    pub(crate) async fn fallen(&self) {
        self.fell.notified().await;
    }

    /// As if the probe had found KVM, where there may be none.
    #[cfg(test)]
    pub(crate) fn assume_kvm(&self) {
        self.found.set(true).expect("nobody has asked yet");
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

/// Whether KVM lets its guests use VMX or SVM, as its modules say. On Arm it does not.
fn is_nested(modules: &Utf8Path) -> bool {
    let on = |module: &str| {
        let path = modules.join(module).join("parameters/nested");
        std::fs::read_to_string(path).is_ok_and(|text| ["Y", "1"].contains(&text.trim()))
    };
    cfg!(target_arch = "x86_64") && (on("kvm_intel") || on("kvm_amd"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_modules_say_whether_guests_may_be_hypervisors() {
        let dir = camino_tempfile::tempdir().unwrap();
        assert!(!is_nested(dir.path()));
        let parameters = dir.path().join("kvm_amd/parameters");
        fs_err::create_dir_all(&parameters).unwrap();
        for (text, nested) in [("0\n", false), ("N\n", false), ("1\n", true), ("Y\n", true)] {
            fs_err::write(parameters.join("nested"), text).unwrap();
            assert_eq!(is_nested(dir.path()), nested, "{text}");
        }
    }

    #[tokio::test]
    async fn a_guest_that_may_be_a_hypervisor_gets_kvm_only_where_it_then_is_one() {
        let mut config = Config::new("/nowhere", vec![]);
        config.accel = Accel::Kvm;
        let nested = |nested| Accelerator { nested, ..Accelerator::new(&config) };
        assert!(nested(false).runs(false).await && !nested(false).runs(true).await);
        assert!(nested(true).runs(true).await);
    }
}
