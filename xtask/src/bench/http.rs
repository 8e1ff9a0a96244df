//! A file server for one guest: a few fixed answers on loopback, GET only.
//!
//! It stands for what somebody who boots by hand would use (`python3 -m http.server`), so
//! it does no more than that, and faster.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

/// What is served: a path and its bytes.
pub(super) type File = (&'static str, Vec<u8>);

/// No request is waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves what `files` makes of the port, for as long as this process lives; gives the port.
pub(super) fn serve(files: impl FnOnce(u16) -> Vec<File>) -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let files = Arc::new(files(port));
    std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        for stream in listener.incoming().flatten() {
            let files = Arc::clone(&files);
            // A guest that goes away in the middle is no concern of anybody.
            std::thread::spawn(move || drop(answer(&stream, &files)));
        }
    })?;
    Ok(port)
}

fn answer(stream: &TcpStream, files: &[File]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = request.strip_prefix("GET ").and_then(|rest| rest.split(' ').next());
    let found = files.iter().find(|(name, _)| Some(*name) == path);
    let (status, body) = found.map_or(("404 Not Found", &[][..]), |(_, body)| ("200 OK", body));
    let mut out = stream;
    write!(out, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len())?;
    out.write_all(b"Connection: close\r\n\r\n")?;
    out.write_all(body)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn get(port: u16, path: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn files_are_served_and_others_are_not() {
        let port = serve(|port| vec![("/a", port.to_string().into_bytes())]).unwrap();
        assert!(get(port, "/a").ends_with(&format!("\r\n\r\n{port}")));
        assert!(get(port, "/b").starts_with("HTTP/1.1 404"));
    }
}
