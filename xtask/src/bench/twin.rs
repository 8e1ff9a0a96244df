//! The twin's API against moto's, in the same run: DescribeInstances a second and the median
//! of RunInstances. Both get the same requests, signed by botocore, over connections that are
//! kept; the twin checks each signature.
//!
//! The twin's QEMU is a stand-in that boots nothing, so that the guests of one round do not
//! take the processor from the next; `eight` boots real ones.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::Bench;
use super::figure::{Figure, Unit, median_ms};
use super::keep_alive::Connection;
use super::outcome::Outcome;
use super::sample::Goal;
use crate::call::Call;
use crate::shell;

const DESCRIBE: Goal =
    Goal { name: "describe", tree: None, ours: "twin", theirs: "moto", target: 1000.0 };
/// In milliseconds.
const LAUNCH: Goal = Goal { name: "launch", target: 50.0, ..DESCRIBE };

/// How long calls are counted in a round.
const COUNTED: Duration = Duration::from_secs(3);
const ROUNDS: u32 = 3;
/// Connections at the same time.
const CONNECTIONS: usize = 4;
/// Instances that each description lists.
const INSTANCES: usize = 3;
const LAUNCHES: usize = 21;
/// Time within which a server must answer.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Signs the calls for a server and prints the requests, byte for byte, one JSON string each.
const SIGN: &str = r#"
import json, sys
from urllib.parse import urlencode
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
host, key, secret, region, image = sys.argv[1:]
launch = {"ImageId": image, "InstanceType": "t3.nano", "MinCount": 1, "MaxCount": 1}
for action, form in (("DescribeInstances", {}), ("RunInstances", launch)):
    body = urlencode({"Action": action, "Version": "2016-11-15", **form})
    kind = "application/x-www-form-urlencoded; charset=utf-8"
    request = AWSRequest("POST", f"http://{host}/", data=body, headers={"Content-Type": kind, "Host": host})
    SigV4Auth(Credentials(key, secret), "ec2", region).add_auth(request)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    print(json.dumps(f"POST / HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}"))
"#;

/// A server and the requests for it.
struct Server {
    address: String,
    describe: String,
    launch: String,
}

/// Measures both.
pub(super) fn measure(bench: &Bench<'_>) -> Result<Vec<Outcome>> {
    let folder = bench.project.target.join("bench/twin");
    let twin = Twin::start(bench, &folder)?;
    let moto = Moto::start(bench)?;
    let sides = [twin.server(bench)?, moto.server(bench)?];
    for server in &sides {
        for _ in 0..INSTANCES {
            Connection::open(&server.address)?.call(&server.launch).context("launching")?;
        }
    }
    let rounds = bench.rounds.unwrap_or(ROUNDS);
    shell::status("Measuring", &format!("describe: {rounds} rounds"));
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (rates, server) in rates.iter_mut().zip(&sides) {
            rates.push(rate(server)?);
        }
    }
    shell::status("Measuring", &format!("launch: {LAUNCHES} rounds"));
    let times = [launches(&sides[0])?, launches(&sides[1])?];
    let [ours, theirs] = rates.map(middle);
    let describe = Figure {
        goal: DESCRIBE,
        unit: Unit::Rate,
        ours,
        theirs: Some(theirs),
        rounds: rounds as usize,
    };
    let [ours, theirs] = times.map(median_ms);
    let unit = Unit::Milliseconds;
    let launch = Figure { goal: LAUNCH, unit, ours, theirs: Some(theirs), rounds: LAUNCHES };
    Ok(vec![Outcome::Figure(describe), Outcome::Figure(launch)])
}

/// Descriptions a second.
fn rate(server: &Server) -> Result<f64> {
    let start = Instant::now();
    let counts: Vec<Result<u32>> = std::thread::scope(|scope| {
        let count = || {
            let mut connection = Connection::open(&server.address)?;
            let mut count = 0;
            while start.elapsed() < COUNTED {
                connection.call(&server.describe)?;
                count += 1;
            }
            Ok(count)
        };
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(count)).collect();
        let panicked = |_| anyhow::anyhow!("a client of the bench panicked");
        threads.into_iter().map(|thread| thread.join().map_err(panicked)?).collect()
    });
    let sum: u32 = counts.into_iter().sum::<Result<u32>>()?;
    Ok(f64::from(sum) / start.elapsed().as_secs_f64())
}

fn launches(server: &Server) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(&server.address)?;
    let once = |_| {
        let start = Instant::now();
        connection.call(&server.launch)?;
        Ok(start.elapsed())
    };
    (0..LAUNCHES).map(once).collect()
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A twin of the bench's own. Stopped when dropped.
struct Twin {
    stop: Call,
    state: Utf8PathBuf,
}

impl Twin {
    fn start(bench: &Bench<'_>, folder: &Utf8Path) -> Result<Self> {
        let stand_in = bench.project.root.join("crates/l4re-twin/fixtures/qemu-stand-in");
        let call = |verb: &str| {
            Call::new([bench.binary.as_str(), "l4re", "twin", verb])
                .env("XDG_STATE_HOME", folder.as_str())
                .env("CARGO_L4RE_TWIN_ACCEL", "tcg")
                .env("CARGO_L4RE_TWIN_QEMU_AMD64", stand_in.as_str())
        };
        if folder.exists() {
            call("stop").time().context("stopping the twin of an earlier bench")?;
            fs_err::remove_dir_all(folder)?;
        }
        fs_err::create_dir_all(folder)?;
        let twin = Self { stop: call("stop"), state: folder.join("cargo-l4re/twin") };
        call("start").time().context("starting the twin")?;
        Ok(twin)
    }

    fn server(&self, bench: &Bench<'_>) -> Result<Server> {
        let text = fs_err::read_to_string(self.state.join("twin.json"))?;
        let status: Value = serde_json::from_str(&text)?;
        let word = |name: &str| status[name].as_str().unwrap_or_default().to_owned();
        let host = word("endpoint").trim_start_matches("http://").to_owned();
        let words = [host, word("access_key_id"), word("secret_access_key"), word("region")];
        sign(bench, &words, "ami-0172e86000000b105")
    }
}

impl Drop for Twin {
    fn drop(&mut self) {
        if let Err(error) = self.stop.time() {
            shell::status("Warning", &format!("the bench's twin was not stopped: {error:#}"));
        }
    }
}

/// A moto server. Killed when dropped.
struct Moto {
    handle: duct::Handle,
    port: u16,
}

impl Moto {
    fn start(bench: &Bench<'_>) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let program = bench.project.venv().join("bin/moto_server");
        let handle = duct::cmd!(program.as_str(), "-H", "127.0.0.1", "-p", port.to_string())
            .stdin_null()
            .stdout_null()
            .stderr_null()
            .unchecked()
            .start()?;
        let moto = Self { handle, port };
        let deadline = Instant::now() + START_LIMIT;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(Instant::now() < deadline, "moto does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(moto)
    }

    fn server(&self, bench: &Bench<'_>) -> Result<Server> {
        let host = format!("127.0.0.1:{}", self.port);
        let words = [host, "key".into(), "secret".into(), "eu-central-1".into()];
        sign(bench, &words, "ami-12c6146b")
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        let _ = self.handle.kill();
    }
}

fn sign(bench: &Bench<'_>, words: &[String; 4], image: &str) -> Result<Server> {
    let python = bench.project.venv().join("bin/python");
    let head = [python.as_str(), "-c", SIGN].map(str::to_owned);
    let call = Call::new(head.into_iter().chain(words.iter().cloned()).chain([image.to_owned()]));
    let printed = call.read().context("signing the requests")?;
    let requests = printed.lines().map(serde_json::from_str).collect::<Result<Vec<String>, _>>()?;
    let [describe, launch] = <[String; 2]>::try_from(requests)
        .or_else(|all| bail!("two requests were to be signed, not {}", all.len()))?;
    Ok(Server { address: words[0].clone(), describe, launch })
}
