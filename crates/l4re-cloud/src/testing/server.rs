//! A small HTTP server on loopback that answers as a closure says and remembers what it was
//! asked; and a connection to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::attempt::{LaunchOptions, launch_sum};
use crate::connect::{Cloud, ConnectOptions, Endpoint, Timeouts};
use crate::event::{Event, Events};

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    /// The fields of a form; empty for objects.
    pub(crate) fields: HashMap<String, String>,
    pub(crate) size: usize,
}

impl Asked {
    /// The action of the query protocol, or the method of a request for an object.
    pub(crate) fn action(&self) -> &str {
        self.fields.get("Action").unwrap_or(&self.method)
    }

    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// What to do with a request.
pub(crate) enum Reply {
    /// Answer.
    Say(u16, &'static [(&'static str, &'static str)], String),
    /// Close the connection without a word.
    Reset,
    /// Never answer; the body is not read.
    Hang,
}

/// An error in EC2's form.
pub(crate) fn refuse(status: u16, code: &str, message: &str) -> Reply {
    Reply::Say(
        status,
        &[],
        format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error>\
             </Errors><RequestID>r-1</RequestID></Response>"
        ),
    )
}

/// An error in S3's form.
pub(crate) fn refuse_object(status: u16, code: &str) -> Reply {
    Reply::Say(status, &[], format!("<Error><Code>{code}</Code><Message>m</Message></Error>"))
}

/// RunInstances' answer.
pub(crate) fn accept(id: &str) -> Reply {
    Reply::Say(
        200,
        &[],
        format!(
            "<RunInstancesResponse><instancesSet>{}</instancesSet></RunInstancesResponse>",
            instance(id, "pending")
        ),
    )
}

/// DescribeInstances' answer.
pub(crate) fn found(instances: &[(&str, &str)]) -> Reply {
    let items: String = instances.iter().map(|(id, state)| instance(id, state)).collect();
    Reply::Say(200, &[], reservation(&items))
}

/// DescribeInstances' answer around its items.
pub(crate) fn reservation(items: &str) -> String {
    format!(
        "<DescribeInstancesResponse><reservationSet><item><instancesSet>{items}\
         </instancesSet></item></reservationSet></DescribeInstancesResponse>"
    )
}

fn instance(id: &str, state: &str) -> String {
    instance_named(id, state, "hello")
}

/// An item of DescribeInstances' answer.
pub(crate) fn instance_named(id: &str, state: &str, name: &str) -> String {
    let image = super::image(l4re_image::Arch::Arm64, l4re_image::Kind::Efi);
    let sum = image.sha256.clone().unwrap_or_default();
    let launch = launch_sum(&image, &LaunchOptions::default());
    format!(
        "<item><instanceId>{id}</instanceId><instanceType>m7g.metal</instanceType>\
         <instanceState><name>{state}</name></instanceState>\
         <launchTime>2026-11-01T10:00:00.000Z</launchTime>\
         <tagSet><item><key>l4re:name</key><value>{name}</value></item>\
         <item><key>l4re:owner</key><value>ada</value></item>\
         <item><key>l4re:launch</key><value>{launch}</value></item>\
         <item><key>l4re:image</key><value>{sum}</value></item></tagSet></item>"
    )
}

/// The server; ends when dropped.
pub(crate) struct Server {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Serves: the closure gets the request and how many of the same action came before.
    pub(crate) async fn start(
        answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&asked), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&answer)));
            }
        });
        Self { url, asked, task }
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The actions so far, in order.
    pub(crate) fn actions(&self) -> Vec<String> {
        self.asked().iter().map(|asked| asked.action().to_owned()).collect()
    }

    /// A connection that waits for answers as long as a busy machine needs for them.
    pub(crate) async fn connect(&self) -> Cloud {
        self.connect_telling().await.0
    }

    /// A connection that does not wait for long, and what it tells: for answers that never come.
    pub(crate) async fn connect_impatient(&self) -> (Cloud, Arc<Mutex<Vec<Event>>>) {
        let options = self.options();
        let timeouts = Timeouts {
            attempt: Duration::from_secs(2),
            operation: Duration::from_secs(5),
            ..options.timeouts
        };
        connect_with(ConnectOptions { timeouts, ..options }).await
    }

    /// A connection, and what it tells.
    pub(crate) async fn connect_telling(&self) -> (Cloud, Arc<Mutex<Vec<Event>>>) {
        connect(&self.url).await
    }

    /// The options of [`Self::connect`].
    pub(crate) fn options(&self) -> ConnectOptions {
        options(&self.url)
    }
}

/// A connection to any endpoint.
pub(crate) async fn connect(url: &str) -> (Cloud, Arc<Mutex<Vec<Event>>>) {
    connect_with(options(url)).await
}

/// A connection, and what it tells.
pub(crate) async fn connect_with(options: ConnectOptions) -> (Cloud, Arc<Mutex<Vec<Event>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let events: Events = Arc::new(move |event| log.lock().unwrap().push(event));
    let options = ConnectOptions { events, ..options };
    (Cloud::connect(options).await.unwrap(), told)
}

/// Options of a connection to any endpoint.
pub(crate) fn options(url: &str) -> ConnectOptions {
    ConnectOptions {
        endpoint: Some(Endpoint {
            url: url.to_owned(),
            access_key: "AKIDEXAMPLE".to_owned(),
            secret_key: "secret".to_owned(),
            session_token: None,
            region: "eu-central-1".to_owned(),
        }),
        timeouts: Timeouts {
            stall: Duration::from_secs(2),
            attempts: 4,
            poll: Duration::from_millis(20),
            ..Timeouts::default()
        },
        ..ConnectOptions::default()
    }
}

async fn serve<F>(mut stream: TcpStream, log: Arc<Mutex<Vec<Asked>>>, answer: Arc<F>)
where
    F: Fn(&Asked, usize) -> Reply,
{
    let Some((mut asked, rest)) = read_head(&mut stream).await else { return };
    let length = asked.headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    // What hangs must be decided before the body is read.
    let object = asked.headers.get("content-type").is_none_or(|t| !t.contains("form"));
    let mut body = rest;
    let before = |asked: &Asked, log: &[Asked]| {
        log.iter().filter(|other| other.action() == asked.action()).count()
    };
    if object {
        let count = before(&asked, &log.lock().unwrap());
        if matches!(answer(&asked, count), Reply::Hang) {
            log.lock().unwrap().push(asked);
            return std::future::pending().await;
        }
    }
    while body.len() < length {
        let mut chunk = [0; 65536];
        match stream.read(&mut chunk).await {
            Ok(size) if size > 0 => body.extend_from_slice(&chunk[..size]),
            _ => return,
        }
    }
    asked.size = body.len();
    if !object {
        asked.fields = read_form(&body);
    }
    let count = before(&asked, &log.lock().unwrap());
    let reply = answer(&asked, count);
    let head_only = asked.method == "HEAD";
    log.lock().unwrap().push(asked);
    match reply {
        Reply::Reset => {}
        Reply::Hang => std::future::pending().await,
        Reply::Say(status, headers, text) => {
            let headers: String = headers.iter().map(|(k, v)| format!("{k}: {v}\r\n")).collect();
            let body = if head_only { "" } else { text.as_str() };
            let answer = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
                text.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> Option<(Asked, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        let mut chunk = [0; 4096];
        let size = stream.read(&mut chunk).await.ok().filter(|size| *size > 0)?;
        bytes.extend_from_slice(&chunk[..size]);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ').map(ToOwned::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers = lines.filter_map(header).collect();
    Some((
        Asked { method, path, headers, fields: HashMap::new(), size: 0 },
        bytes[end + 4..].to_vec(),
    ))
}

fn read_form(body: &[u8]) -> HashMap<String, String> {
    url_pairs(&String::from_utf8_lossy(body)).into_iter().collect()
}

fn url_pairs(text: &str) -> Vec<(String, String)> {
    let decode = |word: &str| {
        let mut bytes = Vec::new();
        let mut rest = word.bytes();
        while let Some(byte) = rest.next() {
            let digit = |b: Option<u8>| b.and_then(|b| (b as char).to_digit(16));
            match byte {
                b'+' => bytes.push(b' '),
                b'%' => {
                    let (high, low) = (digit(rest.next()), digit(rest.next()));
                    bytes.push(u8::try_from(high.unwrap() * 16 + low.unwrap()).unwrap());
                }
                byte => bytes.push(byte),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
