//! A proxy between the client and a cloud that stops time at one request: before the cloud
//! hears of it, or after it has answered and before the client hears of that. Whoever is
//! killed then has been killed at that very point.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// No side is waited for longer.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the target of a request for prices begins with.
const PRICES: &[u8] = b"AWSPriceListService.";

/// Where time stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// How the requests begin that are counted; all if empty.
    pub begins: &'static str,
    /// At which of them, counted from 1 in the order of arrival.
    pub request: usize,
    /// Whether the cloud has carried it out.
    pub after: bool,
}

/// A proxy on loopback, for as long as the test lives.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    hold: Option<Hold>,
    requests: AtomicUsize,
    /// Those that the hold counts.
    counted: AtomicUsize,
    held: Mutex<bool>,
    told: Condvar,
}

impl Proxy {
    /// Starts one before `upstream` (`http://127.0.0.1:PORT`).
    ///
    /// # Panics
    /// When there is no port left.
    pub fn start(upstream: &str, hold: Option<Hold>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            hold,
            requests: AtomicUsize::new(0),
            counted: AtomicUsize::new(0),
            held: Mutex::new(false),
            told: Condvar::new(),
        });
        let inner = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&inner);
                // Who is killed in the middle leaves a broken connection behind.
                std::thread::spawn(move || drop(shared.pass(stream)));
            }
        });
        Self { url, shared }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Waits until time stands still; `false` if `over` says first that nothing more comes.
    ///
    /// # Panics
    /// When neither happens in time.
    pub fn wait_held(&self, over: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        let mut held = self.shared.held.lock().unwrap();
        while !*held {
            if over() {
                return false;
            }
            assert!(Instant::now() < deadline, "neither held nor over");
            held = self.shared.told.wait_timeout(held, Duration::from_millis(5)).unwrap().0;
        }
        true
    }
}

impl Shared {
    /// One request and its answer; connections are not used twice.
    fn pass(&self, mut client: TcpStream) -> std::io::Result<()> {
        let Some(request) = read_request(&mut client)? else { return Ok(()) };
        let counts = !is_aside(&request);
        self.requests.fetch_add(usize::from(counts), Ordering::SeqCst);
        let held = self.hold.filter(|hold| {
            counts
                && request.starts_with(hold.begins.as_bytes())
                && self.counted.fetch_add(1, Ordering::SeqCst) + 1 == hold.request
        });
        if held.is_some_and(|hold| !hold.after) {
            return self.hold(&mut client);
        }
        let mut cloud = TcpStream::connect(&self.upstream)?;
        cloud.set_read_timeout(Some(PATIENCE))?;
        cloud.write_all(&request)?;
        let mut answer = Vec::new();
        cloud.read_to_end(&mut answer)?;
        if held.is_some() {
            return self.hold(&mut client);
        }
        client.write_all(&answer)?;
        client.shutdown(Shutdown::Write)
    }

    /// Says that time stands still, and waits for the client's end.
    fn hold(&self, client: &mut TcpStream) -> std::io::Result<()> {
        *self.held.lock().unwrap() = true;
        self.told.notify_all();
        client.set_read_timeout(Some(PATIENCE))?;
        client.read(&mut [0]).map(drop)
    }
}

/// Whether a request is for prices: they are asked for beside all else, at any time, and
/// nothing hangs on them.
fn is_aside(request: &[u8]) -> bool {
    request.windows(PRICES.len()).any(|bytes| bytes == PRICES)
}

/// A whole request, changed so that the cloud closes the connection behind its answer.
fn read_request(client: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 64 * 1024];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        match client.read(&mut buffer)? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut body = bytes.split_off(end + 4);
    let header = |wanted: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if header("expect").is_some() && body.len() < length {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    while body.len() < length {
        match client.read(&mut buffer)? {
            0 => return Ok(None),
            count => body.extend_from_slice(&buffer[..count]),
        }
    }
    let kept = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        !matches!(name.as_str(), "connection" | "expect")
    };
    let lines: Vec<_> = head.lines().filter(kept).collect();
    let mut request = format!("{}\r\nconnection: close\r\n\r\n", lines.join("\r\n")).into_bytes();
    request.extend_from_slice(&body);
    Ok(Some(request))
}
