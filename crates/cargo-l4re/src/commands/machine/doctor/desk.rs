//! This desk: QEMU, firmware, iPXE and KVM, for instances on the twin.

use l4re_cloud::Finding;
use l4re_twin::Config;

/// What instances on the desk need, and what makes them quick.
pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let lacks = l4re_twin::doctor(config);
    let mut findings = Vec::new();
    for arch in ["x86_64", "arm64"] {
        let of_arch =
            |lack: &&l4re_twin::Finding| lack.architecture.is_empty() || lack.architecture == arch;
        if !lacks.iter().any(|lack| of_arch(&lack)) {
            let text = format!("{arch} instances have QEMU, firmware and iPXE");
            findings.push(Finding::good("desk", text));
        }
    }
    findings.extend(lacks.iter().map(|lack| {
        let fix = match lack.package {
            Some(package) => format!("sudo apt-get install {package}"),
            None => "name the right file in the settings under `twin`".to_owned(),
        };
        Finding::problem("desk", format!("{} is missing: {}", lack.what, lack.file), fix)
    }));
    findings.push(kvm());
    findings
}

/// KVM is a matter of speed only; whether it works with a firmware is found out at the first
/// boot.
fn kvm() -> Finding {
    const CHECK: &str = "kvm";
    let device = "/dev/kvm";
    let opened = fs_err::OpenOptions::new().read(true).write(true).open(device);
    match opened {
        Ok(_) => Finding::good(
            CHECK,
            format!("{device} can be opened; where it fails, instances are emulated"),
        ),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Finding::warning(
            CHECK,
            format!("{device} may not be used: instances are emulated"),
            "sudo usermod -aG kvm $USER, and log in again",
        ),
        Err(_) => Finding::note(CHECK, format!("there is no {device}: instances are emulated")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use l4re_cloud::Level;

    #[test]
    fn what_is_missing_is_a_problem_of_its_architecture() {
        let mut config = Config::new("/nowhere", vec![]);
        config.firmware.qemu_aarch64 = "/nowhere/qemu".into();
        let findings = findings(&config);
        let lacks = findings.iter().find(|finding| finding.text.contains("/nowhere/qemu")).unwrap();
        assert_eq!(lacks.level, Level::Problem);
        assert!(lacks.fix.as_ref().unwrap().contains("apt-get install"));
        assert!(!findings.iter().any(|finding| finding.text.starts_with("arm64 instances have")));
        assert!(findings.iter().any(|finding| finding.check == "kvm"));
    }
}
