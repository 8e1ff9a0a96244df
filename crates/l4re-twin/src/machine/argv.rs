//! QEMU's command line. Pure: everything that it depends on is in [`Machine`].
//!
//! Invariant: no default device, no network boot by firmware, no menu: the firmware goes
//! straight to the one thing that is there to be booted. File descriptor 1 listens for the
//! guest's serial port, file descriptor 0 for QEMU's own monitor (QMP); QEMU runs in the
//! instance's directory, and goes on when its clients leave.

use camino::Utf8PathBuf;
use sha2::{Digest as _, Sha256};

use crate::state::Architecture;

/// What a machine consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) qemu: Utf8PathBuf,
    /// Where QEMU waits for a debugger.
    pub(crate) gdb: Option<Utf8PathBuf>,
    pub(crate) architecture: Architecture,
    pub(crate) kvm: bool,
    pub(crate) memory_mib: u64,
    pub(crate) vcpus: u64,
    /// Whether the guest may be a hypervisor: EL2, or SVM/VMX.
    pub(crate) virtualization: bool,
    pub(crate) firmware: Firmware,
    /// Disks that it does not boot from, with their serial numbers.
    pub(crate) data: Vec<(String, Disk)>,
    pub(crate) instance_type: String,
    pub(crate) instance_id: String,
    pub(crate) mac: String,
    /// Whether it has a graphics card, whose screen can be seen.
    pub(crate) screen: bool,
    /// What DHCP names as boot file.
    pub(crate) boot_file: Option<String>,
    /// Whether anything answers the guest's network card at all.
    pub(crate) network: bool,
    /// Whether the guest reaches nothing but `forwards`.
    pub(crate) closed: bool,
    /// Guest address and port, and the argv that serves each connection to it.
    pub(crate) forwards: Vec<(&'static str, Vec<String>)>,
}

/// What the machine starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Firmware {
    /// SeaBIOS, and the network card's option ROM with iPXE from this directory.
    Bios { roms: Utf8PathBuf },
    /// SeaBIOS, and a disk with a boot sector.
    BiosDisk { disk: Disk },
    /// UEFI, and a disk with an EFI system partition.
    Uefi { code: Utf8PathBuf, variables: Utf8PathBuf, disk: Disk },
}

/// A raw disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) file: Utf8PathBuf,
    /// Whether the guest may write; a disk that instances share must stay as it is.
    pub(crate) writable: bool,
}

/// The whole command line.
pub(crate) fn qemu_argv(machine: &Machine) -> Vec<String> {
    let mut argv: Vec<String> =
        vec![machine.qemu.to_string(), "-no-user-config".into(), "-nodefaults".into()];
    let mut option = |name: &str, value: String| argv.extend([format!("-{name}"), value]);
    option("display", "none".into());
    option("machine", machine_type(machine));
    option("accel", accelerator(machine));
    option("cpu", cpu(machine));
    option("smp", machine.vcpus.to_string());
    option("m", format!("{}M", machine.memory_mib));
    talk(&mut option);
    // Nothing is slower for it until a debugger comes.
    if let Some(gdb) = &machine.gdb {
        option("gdb", format!("unix:{gdb},server=on,wait=off"));
    }
    smbios(machine, &mut option);
    screen(machine, &mut option);
    boot(machine, &mut option);
    for (index, (serial, disk)) in machine.data.iter().enumerate() {
        attach(&format!("data{index}"), disk, &format!("serial={serial}"), &mut option);
    }
    option("netdev", netdev(machine));
    option("device", network_card(machine));
    // A new QEMU takes over after a reset: slirp would keep a reset guest's old connections,
    // and an iPXE that picks their ports again never gets through. QEMU stands still until
    // it is ended, so that a daemon which comes later still learns what happened.
    option("action", "reboot=shutdown,shutdown=pause".into());
    option("trace", SHUTDOWN_TRACE.into());
    argv
}

/// What QEMU writes in its log when its guest switches itself off, and not for a reset.
pub(super) const SHUTDOWN_TRACE: &str = "qemu_system_shutdown_request";

/// Monitor, serial port and process id, as the next daemon finds them, too.
pub(super) fn talk(option: &mut impl FnMut(&str, String)) {
    option("chardev", "socket,id=qmp,fd=0,server=on,wait=off".into());
    option("mon", "chardev=qmp,mode=control".into());
    // QEMU records it, too: no output is lost while no daemon is there.
    let log = crate::console::RECORD;
    let serial = format!("socket,id=serial,fd=1,server=on,wait=on,logfile={log},logappend=on");
    option("chardev", serial);
    option("serial", "chardev:serial".into());
    option("pidfile", crate::machine::process::PID_FILE.into());
}

fn machine_type(machine: &Machine) -> String {
    match (machine.architecture, &machine.firmware) {
        (Architecture::Arm64, _) => format!(
            "virt,gic-version=3,virtualization={}",
            if machine.virtualization { "on" } else { "off" }
        ),
        // Without graphics SeaBIOS shows its console, and so iPXE's, on the serial port.
        (Architecture::X86_64, Firmware::Bios { .. } | Firmware::BiosDisk { .. }) => {
            "pc,graphics=off".into()
        }
        (Architecture::X86_64, Firmware::Uefi { .. }) => "q35".into(),
    }
}

fn accelerator(machine: &Machine) -> String {
    if machine.kvm { "kvm".into() } else { "tcg".into() }
}

fn cpu(machine: &Machine) -> String {
    match (machine.architecture, machine.kvm, machine.virtualization) {
        (Architecture::Arm64, true, _) | (_, true, true) => "host".into(),
        (Architecture::X86_64, true, false) => "host,vmx=off,svm=off".into(),
        (Architecture::Arm64, false, _) => "neoverse-n1".into(),
        (Architecture::X86_64, false, true) => "max,la57=off".into(),
        (Architecture::X86_64, false, false) => "max,la57=off,svm=off".into(),
    }
}

/// iPXE's `${product}` is the instance type, its `${smbios/2.8.0}` the instance's id; guests know
/// EC2 by the beginning of number and UUID.
fn smbios(machine: &Machine, option: &mut impl FnMut(&str, String)) {
    let product = escaped(&machine.instance_type);
    let uuid = system_uuid(&machine.instance_id);
    option(
        "smbios",
        format!("type=1,manufacturer=Amazon EC2,product={product},serial={uuid},uuid={uuid}"),
    );
    let asset = escaped(&machine.instance_id);
    option("smbios", format!("type=2,manufacturer=Amazon EC2,asset={asset}"));
    option("smbios", "type=3,manufacturer=Amazon EC2,asset=Amazon EC2".into());
}

/// The UUID of an instance's machine, which is its serial number, too: it begins with `ec2`.
pub(crate) fn system_uuid(instance: &str) -> String {
    let hex = format!("ec2{}", hex::encode(Sha256::digest(instance)));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]].join("-")
}

/// The screen that `GetConsoleScreenshot` shows.
fn screen(machine: &Machine, option: &mut impl FnMut(&str, String)) {
    if machine.screen {
        option("device", "VGA".into());
    }
}

fn boot(machine: &Machine, option: &mut impl FnMut(&str, String)) {
    // SeaBIOS passes over disks that a strict order does not name, and what it boots could not
    // read them.
    let strict = if matches!(machine.firmware, Firmware::BiosDisk { .. }) { "off" } else { "on" };
    option("boot", format!("menu=off,strict={strict}"));
    match &machine.firmware {
        Firmware::Bios { roms } => option("L", roms.to_string()),
        Firmware::Uefi { code, variables, disk } => {
            let code = escaped(code.as_str());
            option("drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"));
            let variables = escaped(variables.as_str());
            option("drive", format!("if=pflash,unit=1,format=raw,file={variables}"));
            attach("disk", disk, "bootindex=0", option);
        }
        Firmware::BiosDisk { disk } => attach("disk", disk, "bootindex=0", option),
    }
}

fn attach(id: &str, disk: &Disk, more: &str, option: &mut impl FnMut(&str, String)) {
    let readonly = if disk.writable { "off" } else { "on" };
    let file = escaped(disk.file.as_str());
    option("drive", format!("if=none,id={id},format=raw,readonly={readonly},file={file}"));
    option("device", format!("virtio-blk-pci,drive={id},{more}"));
}

/// QEMU's user network in the link-local range, where EC2 has its metadata service. IPv6 is
/// left on: without a router's answer iPXE waits for one for 15 s.
fn netdev(machine: &Machine) -> String {
    if !machine.network {
        // A hub with nobody else on it.
        return "hubport,id=net0,hubid=0".to_owned();
    }
    let mut value = format!(
        "user,id=net0,net=169.254.0.0/16,host=169.254.0.2,dns=169.254.0.3,\
         dhcpstart=169.254.10.15,restrict={}",
        if machine.closed { "on" } else { "off" }
    );
    if let Some(boot_file) = &machine.boot_file {
        value.push_str(&format!(",bootfile={}", escaped(boot_file)));
    }
    for (address, argv) in &machine.forwards {
        // QEMU splits the command as a shell would, after it has undone doubled commas.
        let words = || argv.iter().map(String::as_str);
        let command =
            shlex::try_join(words()).unwrap_or_else(|_| words().collect::<Vec<_>>().join(" "));
        value.push_str(&format!(",guestfwd=tcp:{address}-cmd:{}", escaped(&command)));
    }
    value
}

fn network_card(machine: &Machine) -> String {
    let mac = &machine.mac;
    match &machine.firmware {
        // QEMU fits only the card's default ROM to the card, so it is not named here.
        Firmware::Bios { .. } => format!("virtio-net-pci,netdev=net0,mac={mac},bootindex=0"),
        // Empty: the firmware shall not look for a ROM, nor boot by network.
        Firmware::Uefi { .. } | Firmware::BiosDisk { .. } => {
            format!("virtio-net-pci,netdev=net0,mac={mac},romfile=")
        }
    }
}

/// QEMU's options are lists with commas; a comma in a value is written twice.
pub(super) fn escaped(value: impl AsRef<str>) -> String {
    value.as_ref().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            qemu: "/usr/bin/qemu-system-x86_64".into(),
            gdb: Some("/state/gdb.sock".into()),
            architecture: Architecture::X86_64,
            kvm: false,
            memory_mib: 1024,
            vcpus: 1,
            virtualization: false,
            firmware: Firmware::Uefi {
                code: "/fw/CODE.fd".into(),
                variables: "/state/a,b c/vars.fd".into(),
                disk: Disk { file: "/state/esp.img".into(), writable: false },
            },
            data: Vec::new(),
            instance_type: "c7i-flex.large".into(),
            instance_id: "i-0123456789abcdef0".into(),
            mac: "02:00:00:00:00:01".into(),
            screen: true,
            boot_file: Some("http://169.254.169.254/latest/user-data".into()),
            network: true,
            closed: true,
            forwards: vec![("169.254.169.254:80", vec!["/bin/pipe".into(), "it's, a path".into()])],
        }
    }

    fn value_of<'a>(argv: &'a [String], start: &str) -> &'a str {
        argv.iter().find(|word| word.starts_with(start)).unwrap_or_else(|| panic!("no {start}"))
    }

    #[test]
    fn x86_uefi() {
        insta::assert_snapshot!(qemu_argv(&machine()).join("\n"));
    }

    #[test]
    fn x86_bios() {
        let firmware = Firmware::Bios { roms: "/roms".into() };
        insta::assert_snapshot!(qemu_argv(&Machine { firmware, ..machine() }).join("\n"));
    }

    #[test]
    fn x86_bios_from_a_disk_of_its_own() {
        let disk = Disk { file: "/state/root.img".into(), writable: true };
        let firmware = Firmware::BiosDisk { disk };
        let data = Disk { file: "/state/data.img".into(), writable: true };
        let data = vec![("vol0123".to_owned(), data)];
        let argv = qemu_argv(&Machine { firmware, data, ..machine() });
        let drive = "if=none,id=disk,format=raw,readonly=off,file=/state/root.img";
        assert_eq!(value_of(&argv, "if=none"), drive);
        assert!(argv.contains(&"virtio-blk-pci,drive=data0,serial=vol0123".to_owned()));
        // Not by network.
        assert!(value_of(&argv, "virtio-net-pci").ends_with(",romfile="));
        assert!(!argv.contains(&"-L".to_owned()));
    }

    #[test]
    fn arm64_metal() {
        let machine = Machine {
            architecture: Architecture::Arm64,
            virtualization: true,
            screen: false,
            boot_file: None,
            ..machine()
        };
        insta::assert_snapshot!(qemu_argv(&machine).join("\n"));
    }

    #[test]
    fn commas_are_doubled_and_words_quoted_for_both_parsers() {
        let argv = qemu_argv(&machine());
        assert!(value_of(&argv, "if=pflash,unit=1").ends_with("file=/state/a,,b c/vars.fd"));
        let netdev = value_of(&argv, "user,");
        assert!(
            netdev.ends_with("guestfwd=tcp:169.254.169.254:80-cmd:/bin/pipe \"it's,, a path\"")
        );
        assert!(netdev.contains("restrict=on"));
    }

    #[test]
    fn kvm_uses_the_hosts_cpu() {
        let argv = qemu_argv(&Machine { kvm: true, ..machine() });
        assert_eq!(value_of(&argv, "kvm"), "kvm");
        assert_eq!(value_of(&argv, "host"), "host,vmx=off,svm=off");
        let argv = qemu_argv(&Machine { kvm: true, virtualization: true, ..machine() });
        assert!(argv.contains(&"host".to_owned()), "a hypervisor's is whole");
    }
}
