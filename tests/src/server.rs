//! The emulator that others wrote, as a server on loopback.

use std::time::Duration;

use crate::command::{Running, wait_for_text};
use crate::{Desk, given};

/// Time within which the server must answer.
const START_LIMIT: Duration = Duration::from_secs(180);

/// A moto server. Stopped when dropped.
#[derive(Debug)]
pub struct Moto {
    _server: Running,
    _desk: Desk,
    url: String,
}

impl Moto {
    /// Starts one for a desk, in which the official iPXE AMIs are registered.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub fn start(desk: &Desk) -> Self {
        let amis = ["arm64", "x86_64"].map(|arch| ipxe_ami(arch).to_string()).join(",");
        let amis = desk.write("amis.json", format!("[{amis}]"));
        let desk = desk.another().with("MOTO_AMIS_PATH", amis);
        let program = given("L4RE_TEST_VENV").join("bin/moto_server");
        // It takes a port that is free and says which: one that was looked for before could be
        // another's by then.
        let said = desk.dir().join("moto.log");
        let script = "exec \"$0\" -H 127.0.0.1 -p 0 >\"$1\" 2>&1";
        let words = ["-c", script, program.as_str(), said.as_str()];
        let server = desk.start_program("/bin/sh".into(), &words);
        let text = wait_for_text(&said, "Press CTRL+C", START_LIMIT);
        let (_, url) = text.split_once("Running on ").expect("where it listens");
        let url = url.lines().next().unwrap_or_default().trim().to_owned();
        Self { _server: server, _desk: desk, url }
    }

    /// Starts one that is AWS for a new desk.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub fn as_aws() -> (Desk, Self) {
        let desk = Desk::new().with_keys();
        let moto = Self::start(&desk);
        (desk.with("AWS_ENDPOINT_URL", moto.url()), moto)
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// An official AMI, as moto's file of AMIs has them.
fn ipxe_ami(arch: &str) -> serde_json::Value {
    serde_json::json!({
        "ami_id": format!("ami-{arch:0>17}").replace('_', "0"),
        "name": format!("iPXE (2026-08-21) ({arch})"),
        "description": "iPXE",
        "owner_id": "833372943033",
        "public": true,
        "virtualization_type": "hvm",
        "architecture": arch,
        "state": "available",
        "platform": null,
        "image_type": "machine",
        "hypervisor": "xen",
        "root_device_name": "/dev/sda1",
        "root_device_type": "ebs",
        "sriov": "simple",
        "creation_date": "2026-08-21T00:00:00.000Z",
        "boot_mode": if arch == "arm64" { "uefi" } else { "legacy-bios" },
    })
}
