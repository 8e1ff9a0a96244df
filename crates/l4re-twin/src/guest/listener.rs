//! The daemon's side of guests' connections.
//!
//! Invariant: a connection says first, with the daemon's secret, which instance it comes
//! from and which service it wants; without that it gets nothing.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::endpoint::{object_store, s3_refusal};
use crate::faults::{Dropped, meet};
use crate::guest::{Tokens, metadata};
use crate::s3::S3Endpoint;
use crate::sigv4;
use crate::twin::Twin;
use crate::{Config, TwinError, connection};

/// Guest address of the metadata service.
const METADATA: &str = "169.254.169.254:80";
/// Guest address of the object store.
const OBJECTS: &str = "169.254.169.253:80";
/// The longest preface: secret, instance and service.
const MAX_PREFACE: usize = 256;

/// Where the pipe program finds the daemon: `guest.json`, mode 600.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Preface {
    pub(crate) port: u16,
    pub(crate) secret: String,
}

impl Preface {
    /// The file in a state directory.
    pub(crate) fn path(dir: &camino::Utf8Path) -> camino::Utf8PathBuf {
        dir.join("guest.json")
    }

    /// Writes the file.
    pub(crate) fn save(&self, dir: &camino::Utf8Path) -> Result<(), TwinError> {
        crate::state::files::write_json(&Self::path(dir), self)
    }

    /// The line that opens a connection.
    pub(crate) fn line(&self, instance: &str, service: &str) -> String {
        format!("{} {instance} {service}\n", self.secret)
    }
}

/// QEMU's forwards for an instance: guest address and the program for each connection.
pub(crate) fn forwards(config: &Config, instance: &str) -> Vec<(&'static str, Vec<String>)> {
    let command = |service: &str| {
        let own = [Preface::path(&config.dir).into_string(), instance.into(), service.into()];
        config.pipe_command.iter().cloned().chain(own).collect()
    };
    vec![(METADATA, command("metadata")), (OBJECTS, command("objects"))]
}

/// Serves guests.
#[derive(Clone)]
pub(crate) struct Guests {
    pub(crate) twin: Arc<Twin>,
    pub(crate) s3: S3Endpoint,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) secret: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Metadata,
    Objects,
}

impl Guests {
    /// Serves one connection until it ends.
    pub(crate) async fn serve(self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let preface = tokio::time::timeout(Duration::from_secs(10), read_line(&mut stream)).await;
        let known = preface.ok().flatten().and_then(|line| self.admit(&line));
        let Some((instance, service)) = known else {
            tracing::warn!("a connection without the daemon's secret was closed");
            return;
        };
        let answer = |request| self.answer(service, &instance, request);
        connection::serve(stream, answer).await;
    }

    async fn answer(
        &self,
        service: Service,
        instance: &str,
        request: Request<s3s::Body>,
    ) -> Result<Response<s3s::Body>, Dropped> {
        let faults = &self.twin.faults;
        match service {
            Service::Metadata => {
                let act = async { metadata::answer(&self.twin, &self.tokens, instance, &request) };
                meet(faults, "guest:metadata", s3_refusal, act).await
            }
            Service::Objects => {
                let name = format!("guest:{}", request.method());
                meet(faults, &name, s3_refusal, object_store(&self.s3, request)).await
            }
        }
    }

    fn admit(&self, line: &str) -> Option<(String, Service)> {
        let mut words = line.split(' ');
        let secret = words.next()?;
        let instance = words.next()?;
        let service = match words.next()? {
            "metadata" => Service::Metadata,
            "objects" => Service::Objects,
            _ => return None,
        };
        sigv4::same(secret.as_bytes(), self.secret.as_bytes())
            .then(|| (instance.to_owned(), service))
    }
}

/// Byte by byte: what follows the line belongs to HTTP.
async fn read_line(stream: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    while line.len() < MAX_PREFACE {
        match stream.read_u8().await.ok()? {
            b'\n' => return String::from_utf8(line).ok(),
            byte => line.push(byte),
        }
    }
    None
}
