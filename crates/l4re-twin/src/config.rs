//! What a twin is told when it starts. Nothing here is read from the environment; the
//! caller resolves directories, defaults and overrides.

use std::collections::BTreeMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

/// Everything that one daemon needs to know. [`Config::new`] gives the desk's defaults.
#[derive(Debug, Clone)]
pub struct Config {
    /// The state directory: objects, instance records, consoles, credentials, the lock.
    pub dir: Utf8PathBuf,
    /// The daemon ends itself when no instance ran and no request came for so long.
    /// `None`: never.
    pub idle: Option<Duration>,
    /// The region that the twin plays.
    pub region: String,
    /// How QEMU starts the program that bridges a guest's connection to the daemon: the
    /// argv to which the daemon appends its own arguments. It must end in
    /// [`crate::pipe`] with those arguments.
    pub pipe_command: Vec<String>,
    /// Which accelerator QEMU uses.
    pub accel: Accel,
    /// Programs and firmware files.
    pub firmware: Firmware,
    /// An arm64 iPXE EFI binary. Without one the twin follows the user-data script itself.
    pub ipxe_arm64: Option<Utf8PathBuf>,
    /// An x86_64 UEFI iPXE binary, instead of Debian's.
    pub ipxe_x86_64_efi: Option<Utf8PathBuf>,
    /// An instance gets its type's memory, but no more than this, in MiB.
    pub max_memory_mib: u32,
    /// An instance gets its type's vCPUs, but no more than this.
    pub max_vcpus: u32,
    /// Clients can store no more once the state directory takes so many bytes.
    pub max_disk: u64,
    /// What guests can reach besides the metadata service and the object store.
    pub guest_network: GuestNetwork,
    /// Whether the account's serial console access is on in a new state directory.
    pub serial_console_access: bool,
    /// How long state changes take.
    pub timing: Timing,
}

/// Which accelerator QEMU uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accel {
    /// KVM where a probe shows that it works, else TCG.
    #[default]
    Auto,
    /// KVM, unprobed.
    Kvm,
    /// TCG.
    Tcg,
}

/// What guests can reach besides the metadata service and the object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GuestNetwork {
    /// Nothing: not the host's other ports, not the outside world.
    #[default]
    Closed,
    /// What the host itself can reach, by QEMU's user network.
    Open,
}

/// How long state changes take, on top of what really happens.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// From the accepted launch or start to `running`.
    pub pending: Duration,
    /// The same for bare-metal types.
    pub pending_metal: Duration,
    /// From the accepted stop to `stopped`, and from terminate to `terminated`.
    pub stopping: Duration,
    /// For so long after a launch, calls that name the instance may not know it.
    pub consistency: Duration,
    /// How long a guest that is asked to shut down may take before it is forced.
    pub graceful: Duration,
    /// From the completion of a snapshot, or the copy of an AMI, to the moment from which it
    /// can be used.
    pub snapshot: Duration,
    /// From the start of a machine to the first snapshot of its console, which is what
    /// `GetConsoleOutput` answers without `Latest`.
    pub console_snapshot: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            pending: Duration::ZERO,
            pending_metal: Duration::ZERO,
            stopping: Duration::ZERO,
            snapshot: Duration::ZERO,
            consistency: Duration::ZERO,
            graceful: Duration::from_secs(20),
            console_snapshot: Duration::from_secs(5),
        }
    }
}

/// Programs and firmware files. The defaults are where Debian puts them.
#[derive(Debug, Clone)]
pub struct Firmware {
    /// Package `qemu-system-x86`.
    pub qemu_x86_64: Utf8PathBuf,
    /// Package `qemu-system-arm`.
    pub qemu_aarch64: Utf8PathBuf,
    /// UEFI code for x86_64, package `ovmf`.
    pub ovmf_code: Utf8PathBuf,
    /// Its empty variable store, package `ovmf`.
    pub ovmf_vars: Utf8PathBuf,
    /// UEFI code for arm64, package `qemu-efi-aarch64`.
    pub aavmf_code: Utf8PathBuf,
    /// Its empty variable store, package `qemu-efi-aarch64`.
    pub aavmf_vars: Utf8PathBuf,
    /// The UEFI iPXE for x86_64, package `ipxe`.
    pub ipxe_efi: Utf8PathBuf,
    /// The directory with the virtio network card's ROM, `efi-virtio.rom`, which holds iPXE
    /// for BIOS too; package `ipxe-qemu`.
    pub ipxe_roms: Utf8PathBuf,
}

impl Default for Firmware {
    fn default() -> Self {
        Self {
            qemu_x86_64: "/usr/bin/qemu-system-x86_64".into(),
            qemu_aarch64: "/usr/bin/qemu-system-aarch64".into(),
            ovmf_code: "/usr/share/OVMF/OVMF_CODE.fd".into(),
            ovmf_vars: "/usr/share/OVMF/OVMF_VARS.fd".into(),
            aavmf_code: "/usr/share/AAVMF/AAVMF_CODE.fd".into(),
            aavmf_vars: "/usr/share/AAVMF/AAVMF_VARS.fd".into(),
            ipxe_efi: "/usr/lib/ipxe/ipxe.efi".into(),
            ipxe_roms: "/usr/lib/ipxe/qemu".into(),
        }
    }
}

impl Config {
    /// The desk's defaults for a state directory and the pipe program's argv.
    #[must_use]
    pub fn new(dir: impl Into<Utf8PathBuf>, pipe_command: Vec<String>) -> Self {
        Self {
            dir: dir.into(),
            idle: Some(Duration::from_secs(30 * 60)),
            region: "eu-central-1".to_owned(),
            pipe_command,
            accel: Accel::Auto,
            firmware: Firmware::default(),
            ipxe_arm64: None,
            ipxe_x86_64_efi: None,
            max_memory_mib: 1024,
            max_vcpus: 1,
            max_disk: 20 << 30,
            guest_network: GuestNetwork::Closed,
            serial_console_access: true,
            timing: Timing::default(),
        }
    }

    /// What decides how a daemon behaves, in words, to compare one that runs with one that is
    /// wanted.
    #[must_use]
    pub fn settings(&self) -> BTreeMap<String, String> {
        let files = &self.firmware;
        let path =
            |path: &Option<Utf8PathBuf>| path.as_deref().map_or("", Utf8Path::as_str).to_owned();
        let timing = &self.timing;
        let time = |time: Duration| match jiff::SignedDuration::try_from(time) {
            Ok(time) => format!("{time:#}").replace(' ', ""),
            Err(_) => format!("{time:?}"),
        };
        [
            ("timing.pending", time(timing.pending)),
            ("timing.pending-metal", time(timing.pending_metal)),
            ("timing.stopping", time(timing.stopping)),
            ("timing.consistency", time(timing.consistency)),
            ("timing.graceful", time(timing.graceful)),
            ("timing.snapshot", time(timing.snapshot)),
            ("timing.console-snapshot", time(timing.console_snapshot)),
            ("idle", self.idle.map_or("never".to_owned(), time)),
            ("accel", format!("{:?}", self.accel).to_lowercase()),
            ("net", (self.guest_network == GuestNetwork::Open).to_string()),
            ("disk", format!("{} MiB", self.max_disk >> 20)),
            ("region", self.region.clone()),
            ("ipxe.arm64", path(&self.ipxe_arm64)),
            ("ipxe.amd64", path(&self.ipxe_x86_64_efi)),
            ("qemu.amd64", files.qemu_x86_64.to_string()),
            ("qemu.arm64", files.qemu_aarch64.to_string()),
            ("firmware.amd64", format!("{}, {}", files.ovmf_code, files.ovmf_vars)),
            ("firmware.arm64", format!("{}, {}", files.aavmf_code, files.aavmf_vars)),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    /// The UEFI iPXE binary for x86_64 that is in force.
    #[must_use]
    pub fn ipxe_efi(&self) -> &Utf8Path {
        self.ipxe_x86_64_efi.as_deref().unwrap_or(&self.firmware.ipxe_efi)
    }
}
