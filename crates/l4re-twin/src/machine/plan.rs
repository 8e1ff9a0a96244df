//! From an instance's record to the machine that QEMU shall be, with its files in place.

use std::io;

use camino::Utf8Path;

use crate::GuestNetwork;
use crate::faults::Effect;
use crate::guest;
use crate::machine::argv::{Disk, Firmware, Machine};
use crate::machine::disk;
use crate::state::{
    Architecture, BootMode, Chain, Instance, InstanceState, ROOT, Volume, copy_sparse, disk_files,
    instance_disk,
};
use crate::twin::Twin;

/// Where iPXE finds its script: the AMI's own build goes there by itself, Debian's is told
/// so by DHCP.
const USER_DATA: &str = "http://169.254.169.254/latest/user-data";

/// A machine that can be started, or nearly.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) machine: Machine,
    /// The twin must follow the script first, and put what it boots on the machine's disk.
    pub(crate) follow: bool,
}

/// Makes the files of a machine. Blocking.
pub(crate) fn prepare(
    twin: &Twin,
    instance: &Instance,
    chain: Chain,
    kvm: bool,
) -> io::Result<Prepared> {
    let dir = twin.store.instance_dir(&instance.id);
    let follow = chain == Chain::Arm64 && twin.config.ipxe_arm64.is_none();
    let firmware = firmware(twin, instance, chain, &dir)?;
    let config = &twin.config;
    let (memory, vcpus) = crate::ec2::memory_and_vcpus(&instance.instance_type)
        .unwrap_or((u64::from(config.max_memory_mib), 1));
    let qemu = match instance.architecture {
        Architecture::X86_64 => &config.firmware.qemu_x86_64,
        Architecture::Arm64 => &config.firmware.qemu_aarch64,
    };
    let machine = Machine {
        qemu: qemu.clone(),
        gdb: gdb_socket(&twin.config.dir, &instance.id),
        architecture: instance.architecture,
        // KVM runs guests of the host's own architecture only.
        kvm: kvm && instance.architecture.name() == host_architecture(),
        memory_mib: memory.min(u64::from(config.max_memory_mib)),
        vcpus: vcpus.min(u64::from(config.max_vcpus)).max(1),
        virtualization: instance.may_be_hypervisor(),
        firmware,
        data: data_disks(instance, &dir)?,
        instance_type: instance.instance_type.clone(),
        instance_id: instance.id.clone(),
        mac: instance.mac.clone(),
        screen: instance.has_screen(),
        boot_file: (!follow).then(|| USER_DATA.to_owned()),
        network: twin.faults.decide("machine:network").effect != Some(Effect::NoNetwork),
        closed: config.guest_network == GuestNetwork::Closed,
        forwards: guest::forwards(config, &instance.id),
    };
    Ok(Prepared { machine, follow })
}

/// The longest path of a Unix socket.
const SOCKET_PATH: usize = 107;

/// The socket at which QEMU's gdb stub of an instance waits; `None` where its path would be
/// too long for one.
#[must_use]
pub fn gdb_socket(dir: &Utf8Path, instance: &str) -> Option<camino::Utf8PathBuf> {
    let path = dir.join("instances").join(instance).join("gdb.sock");
    (path.as_str().len() <= SOCKET_PATH).then_some(path)
}

/// Where a machine's firmware keeps its variables.
fn variables(dir: &Utf8Path) -> camino::Utf8PathBuf {
    dir.join("variables.fd")
}

/// Frees what a terminated instance will not need again; its record and its console stay
/// until it is forgotten, and the volumes that shall outlive it.
pub(crate) fn release(twin: &Twin, id: &str) {
    let Some(instance) = twin.store.lock().instances.get(id).cloned() else { return };
    if instance.state != InstanceState::Terminated {
        return;
    }
    if let Err(fault) = twin.store.release_volumes(id) {
        tracing::error!(instance = id, "cannot keep the volumes: {}", fault.message);
        return;
    }
    let dir = twin.store.instance_dir(id);
    remove_disks(&dir);
    let disks = instance.volumes().flat_map(|(name, _)| disk_files(&dir, &name));
    for file in [variables(&dir)].into_iter().chain(disks) {
        // No machine has all.
        let _ = fs_err::remove_file(file);
    }
}

/// Frees what is made anew for each boot.
pub(crate) fn remove_disks(dir: &Utf8Path) {
    // Not every machine has it.
    let _ = fs_err::remove_file(followed_disk(dir));
}

/// Where the twin puts what the script it follows boots.
pub(crate) fn followed_disk(dir: &Utf8Path) -> camino::Utf8PathBuf {
    dir.join("boot.img")
}

fn host_architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }
}

fn firmware(
    twin: &Twin,
    instance: &Instance,
    chain: Chain,
    dir: &Utf8Path,
) -> io::Result<Firmware> {
    let config = &twin.config;
    let files = &config.firmware;
    let x86 = (&files.ovmf_code, &files.ovmf_vars);
    let arm64 = (&files.aavmf_code, &files.aavmf_vars);
    let ((code, empty), program) = match (chain, instance.architecture) {
        (Chain::Bios, _) => return Ok(Firmware::Bios { roms: files.ipxe_roms.clone() }),
        (Chain::Disk, _) if instance.boot_mode == BootMode::LegacyBios => {
            return Ok(Firmware::BiosDisk { disk: root_disk(instance, dir)? });
        }
        (Chain::Disk, Architecture::X86_64) => (x86, None),
        (Chain::Disk, Architecture::Arm64) => (arm64, None),
        (Chain::Uefi, _) => (x86, Some(config.ipxe_efi())),
        (Chain::Arm64, _) => (arm64, config.ipxe_arm64.as_deref()),
    };
    let variables = variables(dir);
    if !variables.exists() {
        copy_sparse(empty, &variables)?;
    }
    let shared = |file| Disk { file, writable: false };
    let disk = match program {
        Some(program) => shared(disk::shared(&config.dir, program, instance.architecture)?),
        None if chain == Chain::Disk => root_disk(instance, dir)?,
        None => shared(followed_disk(dir)),
    };
    Ok(Firmware::Uefi { code: code.clone(), variables, disk })
}

/// The instance's root device.
fn root_disk(instance: &Instance, dir: &Utf8Path) -> io::Result<Disk> {
    let size = instance.root.as_ref().map_or(1, |root| root.size_gib);
    Ok(Disk { file: instance_disk(dir, ROOT, size)?, writable: true })
}

/// The disks besides the root device, each with its serial number, which is the volume's id as
/// EC2 has it there.
fn data_disks(instance: &Instance, dir: &Utf8Path) -> io::Result<Vec<(String, Disk)>> {
    let disk = |volume: &Volume| {
        let file = instance_disk(dir, &volume.id, volume.device.size_gib)?;
        Ok((volume.id.replacen('-', "", 1), Disk { file, writable: true }))
    };
    instance.data.iter().map(disk).collect()
}
