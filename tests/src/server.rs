//! The emulator that others wrote, as a server on loopback.

use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::command::Running;
use crate::{Desk, given};

/// Time within which the server must answer.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A moto server. Stopped when dropped.
#[derive(Debug)]
pub struct Moto {
    _server: Running,
    url: String,
}

impl Moto {
    /// Starts one for a desk, in which the official iPXE AMIs are registered.
    ///
    /// # Panics
    /// When it does not answer in time.
    pub fn start(desk: &Desk) -> Self {
        let port = free_port();
        let amis = ["arm64", "x86_64"].map(|arch| ipxe_ami(arch).to_string()).join(",");
        let amis = desk.write("amis.json", format!("[{amis}]"));
        let desk = desk.another().with("MOTO_AMIS_PATH", amis);
        let program = given("L4RE_TEST_VENV").join("bin/moto_server");
        let words = ["-H", "127.0.0.1", "-p", &port.to_string()].map(str::to_owned);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let server = desk.start_program(&program, &words);
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "moto does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self { _server: server, url: format!("http://127.0.0.1:{port}") }
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

/// A port that nobody listens on.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
