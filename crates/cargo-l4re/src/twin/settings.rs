//! What the settings make of a twin, and whether the one that runs was started with others.

use std::time::Duration;

use camino::Utf8PathBuf;
use l4re_image::Arch;
use l4re_twin::{Config, GuestNetwork, Status};

use crate::commands::Context;
use crate::failure::Failure;
use crate::settings::{Accel, Settings, Size, Span, Timing};

/// The twin's state folder.
pub fn dir(context: &Context) -> Result<Utf8PathBuf, Failure> {
    let set = context.settings.find(|layer| layer.twin.dir.clone());
    let default = || context.environment.state_dir().map(|dir| dir.join("twin"));
    set.or_else(default).ok_or(Failure::NoHome)
}

/// What the settings make of a twin.
pub fn config(context: &Context) -> Result<Config, Failure> {
    let program = context.environment.program().to_string();
    let mut config = Config::new(dir(context)?, vec![program, "twin-pipe".to_owned()]);
    let settings = &context.settings;
    if let Some(Span(idle)) = settings.find(|layer| layer.twin.idle) {
        config.idle = Some(idle);
    }
    config.accel = match settings.find(|layer| layer.twin.accel) {
        Some(Accel::Kvm) => l4re_twin::Accel::Kvm,
        Some(Accel::Tcg) => l4re_twin::Accel::Tcg,
        Some(Accel::Auto) | None => l4re_twin::Accel::Auto,
    };
    if settings.find(|layer| layer.twin.net) == Some(true) {
        config.guest_network = GuestNetwork::Open;
    }
    if let Some(access) = settings.find(|layer| layer.twin.serial_console) {
        config.serial_console_access = access;
    }
    if let Some(Size(bytes)) = settings.find(|layer| layer.twin.disk) {
        config.max_disk = bytes;
    }
    set_timing(&mut config.timing, settings);
    let ipxe = |arch| settings.by_arch(arch, |layer| &layer.twin.ipxe).cloned();
    config.ipxe_arm64 = ipxe(Arch::Arm64);
    config.ipxe_x86_64_efi = ipxe(Arch::X86_64);
    let files = &mut config.firmware;
    if let Some(qemu) = settings.by_arch(Arch::X86_64, |layer| &layer.twin.qemu) {
        files.qemu_x86_64.clone_from(qemu);
    }
    if let Some(qemu) = settings.by_arch(Arch::Arm64, |layer| &layer.twin.qemu) {
        files.qemu_aarch64.clone_from(qemu);
    }
    if let Some(pair) = settings.by_arch(Arch::X86_64, |layer| &layer.twin.firmware) {
        (files.ovmf_code, files.ovmf_vars) = (pair.code.clone(), pair.vars.clone());
    }
    if let Some(pair) = settings.by_arch(Arch::Arm64, |layer| &layer.twin.firmware) {
        (files.aavmf_code, files.aavmf_vars) = (pair.code.clone(), pair.vars.clone());
    }
    Ok(config)
}

/// The same; `open` lets guests reach what this machine reaches, whatever is set.
pub fn config_with(context: &Context, open: bool) -> Result<Config, Failure> {
    let mut config = config(context)?;
    if open {
        config.guest_network = GuestNetwork::Open;
    }
    Ok(config)
}

fn set_timing(timing: &mut l4re_twin::Timing, settings: &Settings) {
    type Choice = fn(&Timing) -> Option<Span>;
    let choices: [(&mut Duration, Choice); 7] = [
        (&mut timing.pending, |set| set.pending),
        (&mut timing.pending_metal, |set| set.pending_metal),
        (&mut timing.stopping, |set| set.stopping),
        (&mut timing.consistency, |set| set.consistency),
        (&mut timing.graceful, |set| set.graceful),
        (&mut timing.snapshot, |set| set.snapshot),
        (&mut timing.console_snapshot, |set| set.console_snapshot),
    ];
    for (place, choice) in choices {
        if let Some(Span(time)) = settings.find(|layer| choice(&layer.twin.timing)) {
            *place = time;
        }
    }
}

/// Says what a running twin has otherwise than is wanted.
pub fn warn_of_other_settings(context: &Context, status: &Status, wanted: &Config) {
    if let Some(others) = other_settings(status, wanted) {
        context.shell.warn(format_args!(
            "the twin that runs was started with other settings ({others}); `cargo l4re twin stop` \
             ends it, and the next one has yours"
        ));
    }
}

/// What a running twin has otherwise than is wanted.
fn other_settings(status: &Status, wanted: &Config) -> Option<String> {
    let wanted = wanted.settings();
    let differ = wanted.iter().filter_map(|(name, value)| {
        let its = status.settings.get(name).filter(|its| *its != value)?;
        Some(format!("`twin.{name}`: it has `{its}`, yours is `{value}`"))
    });
    let list: Vec<String> = differ.collect();
    (!list.is_empty()).then(|| list.join("; "))
}
