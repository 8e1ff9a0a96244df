//! A connection that is kept: one request after the other, byte for byte as given, and
//! nothing parsed but what tells where an answer ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

/// No answer is waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a server on loopback.
pub(super) struct Connection {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(super) fn open(address: &str) -> Result<Self> {
        Ok(Self { address: address.to_owned(), stream: dial(address)? })
    }

    /// Sends a request and reads its answer, which must be a success.
    pub(super) fn call(&mut self, request: &str) -> Result<()> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.trim_end().to_owned();
        let (mut length, mut closes) = (None, status.starts_with("HTTP/1.0"));
        loop {
            line.clear();
            ensure!(self.stream.read_line(&mut line)? > 0, "the answer ends in its head");
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse::<u64>().context("its length")?);
            } else if name.eq_ignore_ascii_case("connection") {
                closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => self.stream.by_ref().take(length).read_to_end(&mut body)?,
            None if closes => self.stream.read_to_end(&mut body)?,
            None => bail!("an answer without a length"),
        };
        let said = String::from_utf8_lossy(&body);
        ensure!(status.contains(" 200"), "the server answers `{status}`: {said}");
        if closes {
            self.stream = dial(&self.address)?;
        }
        Ok(())
    }
}

fn dial(address: &str) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_they_say_and_closed_connections_are_opened_anew() {
        let port = super::super::http::serve(|_| vec![("/a", b"hello".to_vec())]).unwrap();
        let mut connection = Connection::open(&format!("127.0.0.1:{port}")).unwrap();
        for _ in 0..3 {
            connection.call("GET /a HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        }
        let error = connection.call("GET /b HTTP/1.1\r\nHost: x\r\n\r\n").unwrap_err();
        assert!(error.to_string().contains("404"), "{error}");
    }
}
