//! KVM or TCG: found by running something, once, and said once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::{Accel, Config};

/// How long a working KVM may take to show SeaBIOS's first words: it takes 0.1 s.
const PROBE: Duration = Duration::from_secs(5);

/// What instances run with.
#[derive(Debug)]
pub(crate) struct Accelerator {
    choice: Accel,
    qemu: Utf8PathBuf,
    setpriv: Utf8PathBuf,
    found: OnceLock<bool>,
    /// KVM that stopped a guest after its probe: not used again.
    broken: AtomicBool,
}

impl Accelerator {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            choice: config.accel,
            qemu: config.firmware.qemu_x86_64.clone(),
            setpriv: config.firmware.setpriv.clone(),
            found: OnceLock::new(),
            broken: AtomicBool::new(false),
        }
    }

    /// Whether KVM works. The first call may take some seconds: not for the async runtime.
    pub(crate) fn kvm(&self) -> bool {
        let found = *self.found.get_or_init(|| {
            let kvm = match self.choice {
                Accel::Kvm => true,
                Accel::Tcg => false,
                Accel::Auto => self.probe(),
            };
            tracing::info!("instances run with {}", if kvm { "KVM" } else { "TCG" });
            kvm
        });
        found && !self.broken.load(Ordering::Relaxed)
    }

    /// KVM failed a guest, as it may with some firmware: TCG from now on.
    pub(crate) fn fall_back(&self) {
        if !self.broken.swap(true, Ordering::Relaxed) {
            tracing::warn!("KVM stopped a guest: instances run with TCG from now on");
        }
    }

    /// The name for people: `kvm` or `tcg`.
    pub(crate) fn name(&self) -> &'static str {
        if self.kvm() { "kvm" } else { "tcg" }
    }

    /// A device file proves nothing: only a guest that runs does.
    fn probe(&self) -> bool {
        let device = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
        device.is_ok() && run_probe(&self.setpriv, &self.qemu).unwrap_or(false)
    }
}

fn probe_argv(setpriv: &Utf8Path, qemu: &Utf8Path) -> Vec<String> {
    let words = "-no-user-config -nodefaults -display none -accel kvm -m 32 -machine pc \
                 -chardev stdio,id=bios -device isa-debugcon,iobase=0x402,chardev=bios";
    [setpriv.as_str(), "--pdeathsig", "KILL", "--", qemu.as_str()]
        .into_iter()
        .chain(words.split_whitespace())
        .map(str::to_owned)
        .collect()
}

fn run_probe(setpriv: &Utf8Path, qemu: &Utf8Path) -> std::io::Result<bool> {
    let argv = probe_argv(setpriv, qemu);
    let (mut output, input) = std::io::pipe()?;
    let handle = duct::cmd(&argv[0], &argv[1..])
        .stdin_null()
        .stdout_file(input)
        .stderr_null()
        .unchecked()
        .start()?;
    let (sender, receiver) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        let mut buffer = [0; 256];
        while let Ok(count) = std::io::Read::read(&mut output, &mut buffer) {
            seen.extend_from_slice(&buffer[..count]);
            let banner = seen.windows(7).any(|window| window == b"SeaBIOS");
            if count == 0 || banner || seen.len() > 65_536 {
                let _ = sender.send(banner);
                return;
            }
        }
    });
    let works = receiver.recv_timeout(PROBE).unwrap_or(false);
    handle.kill()?;
    handle.wait()?;
    let _ = reader.join();
    Ok(works)
}
