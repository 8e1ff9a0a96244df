//! QEMU as somebody would start it by hand: OVMF, an EFI system partition with Debian's
//! iPXE on it, slirp's DHCP that names a script, a script that names the image.
//!
//! Both sides are emulated, since KVM is not everywhere and fails with OVMF in places.
//! Machine, memory and network card are those of the twin, so that the ratio compares what
//! is around QEMU and not two machines.

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::http;
use crate::call::Call;

const FIRMWARE: &str = "/usr/share/OVMF/OVMF_CODE.fd";
const VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS.fd";
/// What runs the guest's instructions, on both sides.
pub(super) const ACCELERATOR: &str = "tcg";
const IPXE: &str = "/boot/ipxe.efi";

/// A machine that can be started again and again.
pub(super) struct ByHand {
    call: Call,
}

impl ByHand {
    /// The command.
    pub(super) fn call(&self) -> &Call {
        &self.call
    }
}

/// Lays out in `folder` what QEMU needs to boot `image`, and serves it.
pub(super) fn prepare(folder: &Utf8Path, image: &Utf8Path) -> Result<ByHand> {
    let partition = folder.join("partition");
    fs_err::create_dir_all(partition.join("EFI/BOOT"))?;
    fs_err::copy(IPXE, partition.join("EFI/BOOT/BOOTX64.EFI")).context("Debian's iPXE")?;
    let variables = folder.join("variables.fd");
    fs_err::copy(VARIABLES, &variables).context("OVMF's variables")?;
    let image = fs_err::read(image)?;
    let port =
        http::serve(|port| vec![("/boot.ipxe", script(port).into_bytes()), ("/image.efi", image)])?;
    Ok(ByHand { call: Call::new(qemu_argv(&partition, &variables, port)) })
}

fn script(port: u16) -> String {
    format!("#!ipxe\nkernel http://10.0.2.2:{port}/image.efi\nboot\n")
}

fn qemu_argv(partition: &Utf8Path, variables: &Utf8Path, port: u16) -> Vec<String> {
    let network = format!("user,id=net,bootfile=http://10.0.2.2:{port}/boot.ipxe");
    let firmware = format!("if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE}");
    let variables = format!("if=pflash,unit=1,format=raw,file={variables}");
    let disk = format!("if=none,id=disk,format=raw,file=fat:rw:{partition}");
    [
        "qemu-system-x86_64",
        "-nodefaults",
        "-no-user-config",
        "-machine",
        "q35",
        "-accel",
        ACCELERATOR,
        "-cpu",
        "max,la57=off",
        "-smp",
        "1",
        "-m",
        "1024",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-drive",
        &firmware,
        "-drive",
        &variables,
        "-drive",
        &disk,
        "-device",
        "virtio-blk-pci,drive=disk,bootindex=0",
        "-netdev",
        &network,
        "-device",
        "virtio-net-pci,netdev=net,romfile=",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_is_sent_to_the_script_and_from_there_to_the_image() {
        let argv = qemu_argv(Utf8Path::new("/t/p"), Utf8Path::new("/t/v.fd"), 8080).join(" ");
        assert!(argv.contains("bootfile=http://10.0.2.2:8080/boot.ipxe"), "{argv}");
        assert!(argv.contains("file=fat:rw:/t/p"), "{argv}");
        assert_eq!(script(8080), "#!ipxe\nkernel http://10.0.2.2:8080/image.efi\nboot\n");
    }
}
