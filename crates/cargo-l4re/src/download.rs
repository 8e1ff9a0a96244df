//! An image named by URL: fetched once, kept in the cache, then treated as any image file.
//!
//! It is fetched by this machine and not by the guest, so that it is inspected and its sum
//! is known before anything is launched, and so that guests need no way to the outside.

use std::io::{Error, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use ureq::tls::TlsConfig;

use crate::interrupt::Interrupt;
use crate::shell::Shell;

/// Time within which the server must answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// Time without a byte after which the download is given up.
const STALL_LIMIT: Duration = Duration::from_secs(30);
/// How often the user's wish to end is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// Why an image could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The server said no, or there is none.
    #[error("cannot fetch {url}")]
    Fetch {
        /// What was asked for.
        url: String,
        /// Why.
        source: Box<ureq::Error>,
    },
    /// The connection broke off.
    #[error("the download of {url} broke off after {received} bytes")]
    Broken {
        /// What was asked for.
        url: String,
        /// Bytes that came.
        received: u64,
        /// Why.
        source: std::io::Error,
    },
    /// It does not fit on the disk, or may not be written.
    #[error("cannot write {path}")]
    Write {
        /// The file.
        path: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The user gave up.
    #[error("interrupted")]
    Interrupted,
}

/// Fetches `url` into `cache` and returns the file's path. The file keeps the URL's last
/// name, since images are told apart by it, in a folder of its own for each URL. While it comes
/// it is a file of this call only, so that two calls that fetch the same do not mix it.
pub fn fetch(
    url: &str,
    cache: &Utf8Path,
    shell: &Shell,
    interrupt: &Interrupt,
) -> Result<Utf8PathBuf, DownloadError> {
    let chunks = read_aside(url.to_owned());
    let path = place(url, cache);
    let beside = Beside(format!("{path}.{}.part", std::process::id()).into());
    let write = |source| DownloadError::Write { path: beside.0.clone(), source };
    fs_err::create_dir_all(path.parent().unwrap_or(cache)).map_err(write)?;
    let mut file = fs_err::File::create(&beside.0).map_err(write)?;
    let bar = shell.progress().bytes("Fetching", 0);
    let (mut received, mut total) = (0, None);
    let shown = crate::target::masked(url);
    let mut last = Instant::now();
    loop {
        if interrupt.is_asked() {
            return Err(DownloadError::Interrupted);
        }
        let broken = |source| DownloadError::Broken { url: shown.to_owned(), received, source };
        let chunk = match chunks.recv_timeout(LOOK) {
            Ok(Part::Refused(source)) => {
                return Err(DownloadError::Fetch { url: shown.to_owned(), source });
            }
            Ok(Part::Length(length)) => {
                total = length;
                bar.set_length(length.unwrap_or(0));
                continue;
            }
            Ok(Part::Bytes(chunk)) => chunk.map_err(broken)?,
            Err(RecvTimeoutError::Timeout) if last.elapsed() < STALL_LIMIT => continue,
            Err(RecvTimeoutError::Timeout) => return Err(broken(ErrorKind::TimedOut.into())),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        file.write_all(&chunk).map_err(write)?;
        received += chunk.len() as u64;
        last = Instant::now();
        bar.set_position(received);
    }
    bar.finish_and_clear();
    if let Some(total) = total.filter(|total| *total != received) {
        let source = Error::new(ErrorKind::UnexpectedEof, format!("{total} bytes were promised"));
        return Err(DownloadError::Broken { url: shown.to_owned(), received, source });
    }
    fs_err::rename(&beside.0, &path).map_err(write)?;
    Ok(path)
}

/// A file that is being fetched; removed when dropped, if it has not got its own name.
struct Beside(Utf8PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        // One that was renamed, or never made, is not there.
        let _ = fs_err::remove_file(&self.0);
    }
}

/// What a download brings, in this order.
enum Part {
    /// There is nothing to be had.
    Refused(Box<ureq::Error>),
    /// How much there is, if the server says so.
    Length(Option<u64>),
    /// Some of it.
    Bytes(std::io::Result<Vec<u8>>),
}

/// Asks and reads on a thread of its own, so that a server that stalls cannot hold the caller.
/// The thread ends with the body or when nobody listens any more.
fn read_aside(url: String) -> Receiver<Part> {
    let (send, parts) = std::sync::mpsc::sync_channel(4);
    std::thread::spawn(move || {
        let response = match agent().get(&url).call() {
            Ok(response) => response,
            Err(error) => return drop(send.send(Part::Refused(Box::new(error)))),
        };
        let _ = send.send(Part::Length(response.body().content_length()));
        let mut reader = response.into_body().into_reader();
        loop {
            let mut chunk = vec![0; CHUNK];
            let read = match reader.read(&mut chunk) {
                Ok(0) => return,
                Ok(count) => {
                    chunk.truncate(count);
                    Ok(chunk)
                }
                Err(error) => Err(error),
            };
            let ends = read.is_err();
            if send.send(Part::Bytes(read)).is_err() || ends {
                return;
            }
        }
    });
    parts
}

fn agent() -> ureq::Agent {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder().unversioned_rustls_crypto_provider(provider).build();
    let config = ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(CONNECT_LIMIT))
        .timeout_recv_response(Some(CONNECT_LIMIT))
        .build();
    ureq::Agent::new_with_config(config)
}

/// Where a URL's file is kept: a folder named after the URL, less its query, which may hold
/// a signature.
fn place(url: &str, cache: &Utf8Path) -> Utf8PathBuf {
    let plain = url.split(['?', '#']).next().unwrap_or(url);
    let folder: String = plain
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' })
        .take(200)
        .collect();
    let name = plain.rsplit('/').next().filter(|name| !name.is_empty() && *name != "..");
    cache.join("downloads").join(folder).join(name.unwrap_or("image"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_the_name_and_no_signature() {
        let path = place("http://host/a/hello.efi?X-Amz-Signature=1", Utf8Path::new("/c"));
        assert_eq!(path, "/c/downloads/http___host_a_hello.efi/hello.efi");
        assert_eq!(place("http://host/", Utf8Path::new("/c")).file_name(), Some("image"));
    }
}
