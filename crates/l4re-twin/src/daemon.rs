//! The daemon's life: lock, listen, publish `twin.json`, serve, and leave nothing behind.

use std::fs::File;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::connect::PushedKeys;
use crate::console::{SerialServer, host_key};
use crate::endpoint::Endpoint;
use crate::faults::Faults;
use crate::gc::{clear_unfinished, size};
use crate::guest::{Guests, Preface, Tokens};
use crate::machine::{self, Accelerator, Machines};
use crate::s3::{Objects, endpoint, expire};
use crate::scheduler::{self, Schedules};
use crate::state::{Account, Store, random_hex};
use crate::status::{Lock, Status};
use crate::twin::{Activity, Twin};
use crate::usage::Usage;
use crate::{Config, TwinError};

/// How often the daemon looks whether it is idle and what can be forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(5);
/// In how many of those rounds once the state directory is measured.
const MEASURING: u32 = 12;

/// Serves until `shutdown` resolves, somebody calls [`crate::stop`], or the twin was idle
/// for long enough. Runs on a multi-threaded runtime of the caller.
pub async fn serve(
    config: Config,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), TwinError> {
    let lock = Lock::take(&config.dir)?;
    // What an earlier daemon said of itself is no longer true.
    let _ = fs_err::remove_file(Status::path(&config.dir));
    clear_unfinished(&config.dir)?;
    let daemon = Daemon::open(config).await?;
    let mut tasks = daemon.listen();
    daemon.resume();
    daemon.publish().await?;
    tokio::select! {
        () = shutdown => {}
        () = daemon.stop.notified() => {}
        () = daemon.keep_house(&lock) => {}
    }
    tasks.abort_all();
    daemon.twin.machines.end_all().await;
    // Whoever was still writing a record has the store's lock.
    drop(daemon.twin.store.lock());
    // In a directory that was made anew, the file may be another daemon's.
    if lock.is_in_place() {
        let _ = fs_err::remove_file(Status::path(&daemon.twin.config.dir));
    }
    drop(lock);
    Ok(())
}

/// A daemon that has its state and its ports.
pub(crate) struct Daemon {
    pub(crate) twin: Arc<Twin>,
    stop: Arc<Notify>,
    control_token: Arc<str>,
    fingerprint: String,
    /// `twin.json`, which is believed as long as it is held.
    said: Mutex<Option<File>>,
    pub(crate) listeners: Listeners,
    clients: Endpoint,
    console: SerialServer,
    guests: Guests,
}

impl Daemon {
    /// Opens the state directory and takes the ports. The caller holds the lock.
    pub(crate) async fn open(config: Config) -> Result<Self, TwinError> {
        let account = Account::open(&config)?;
        let (id, credentials) = (account.id.clone(), account.credentials());
        let store = Store::open(&config, account)?;
        let objects = Arc::new(Objects::open(&config.dir.join("s3"))?);
        let (key, fingerprint) = host_key(&store)?;
        let listeners = Listeners::bind(&store).await?;
        let s3 = endpoint(objects.clone(), &config.region, &id, &credentials);
        let preface = Preface { port: port(&listeners.guests)?, secret: random_hex(40) };
        preface.save(&config.dir)?;
        let twin = Arc::new(Twin {
            accelerator: Accelerator::new(&config),
            credentials,
            store,
            machines: Machines::new(),
            keys: PushedKeys::default(),
            faults: Faults::new(&config.dir),
            schedules: Schedules::open(&config.dir)?,
            activity: Activity::new(),
            usage: Usage::new(size(&config.dir)?, config.max_disk),
            guests: preface.clone(),
            config,
        });
        let stop = Arc::new(Notify::new());
        let control_token: Arc<str> = random_hex(40).into();
        Ok(Self {
            clients: Endpoint {
                twin: twin.clone(),
                s3: s3.clone(),
                objects,
                control_token: control_token.clone(),
                stop: stop.clone(),
            },
            console: SerialServer::new(twin.clone(), key),
            guests: Guests {
                twin: twin.clone(),
                s3,
                tokens: Arc::new(Tokens::new(&twin.credentials.secret_access_key)),
                secret: preface.secret.into(),
            },
            listeners,
            twin,
            stop,
            control_token,
            fingerprint,
            said: Mutex::default(),
        })
    }

    /// Begins to take connections.
    pub(crate) fn listen(&self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let clients = self.clients.clone();
        let serve = move |stream| clients.clone().serve(stream);
        tasks.spawn(accept(self.listeners.clients.clone(), serve));
        let console = self.console.clone();
        let serve = move |stream| console.clone().serve(stream);
        tasks.spawn(accept(self.listeners.console.clone(), serve));
        let guests = self.guests.clone();
        let serve = move |stream| guests.clone().serve(stream);
        tasks.spawn(accept(self.listeners.guests.clone(), serve));
        tasks.spawn(scheduler::run(self.twin.clone()));
        tasks
    }

    /// Takes over the machines of a daemon that was killed.
    fn resume(&self) {
        let state = self.twin.store.lock();
        let alive = state.instances.values().filter(|instance| instance.state.is_alive());
        let ids: Vec<String> = alive.map(|instance| instance.id.clone()).collect();
        let all: Vec<String> = state.instances.keys().cloned().collect();
        drop(state);
        // Of the terminated ones: it may have been killed in the middle of that.
        all.iter().for_each(|id| machine::release(&self.twin, id));
        ids.iter().for_each(|id| machine::resume(&self.twin, id));
    }

    /// Says where everything is, now that it is there.
    async fn publish(&self) -> Result<(), TwinError> {
        let accel = self.twin.accelerator.name().await;
        let account_id = self.twin.store.lock().account.id.clone();
        let status = Status {
            pid: std::process::id(),
            endpoint: format!("http://127.0.0.1:{}", port(&self.listeners.clients)?),
            region: self.twin.config.region.clone(),
            access_key_id: self.twin.credentials.access_key_id.clone(),
            secret_access_key: self.twin.credentials.secret_access_key.clone(),
            account_id,
            serial_console: format!("127.0.0.1:{}", port(&self.listeners.console)?),
            serial_console_fingerprint: self.fingerprint.clone(),
            fetch_endpoint: "http://169.254.169.253".to_owned(),
            accel: accel.to_owned(),
            hypervisors_by_tcg: accel == "kvm" && !self.twin.accelerator.runs(true).await,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: self.twin.config.settings(),
            control_token: self.control_token.to_string(),
        };
        let said = status.publish(&self.twin.config.dir)?;
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
        Ok(())
    }

    /// Returns when the twin has been idle for long enough, or has lost its directory.
    async fn keep_house(&self, lock: &Lock) {
        let mut rounds = 0_u32;
        loop {
            let idle = self.twin.config.idle.unwrap_or(HOUSEKEEPING);
            tokio::select! {
                () = tokio::time::sleep(HOUSEKEEPING.min(idle)) => {}
                () = self.twin.accelerator.fallen() => {
                    if let Err(error) = self.publish().await {
                        tracing::warn!("cannot say that TCG has taken over: {error}");
                    }
                }
            }
            if !lock.is_in_place() {
                tracing::warn!("the state directory was taken away");
                return;
            }
            self.twin.store.forget_terminated(jiff::Timestamp::now());
            rounds = rounds.wrapping_add(1);
            if rounds.is_multiple_of(MEASURING) {
                self.measure().await;
            }
            if self.twin.is_idle() {
                tracing::info!("nobody has wanted anything for long enough");
                return;
            }
        }
    }
}

impl Daemon {
    /// Lets objects expire, and measures what the state directory takes.
    async fn measure(&self) {
        let (dir, objects) = (self.twin.config.dir.clone(), self.clients.objects.clone());
        let measure = move || {
            if let Err(error) = expire(&objects, std::time::SystemTime::now()) {
                tracing::warn!("cannot let objects expire: {error}");
            }
            size(&dir)
        };
        match tokio::task::spawn_blocking(measure).await {
            Ok(Ok(bytes)) => self.twin.usage.set(bytes),
            Ok(Err(error)) => tracing::warn!("cannot measure the state directory: {error}"),
            Err(error) => tracing::warn!("measuring the state directory: {error}"),
        }
    }
}

/// The three ports of a daemon, all on loopback.
pub(crate) struct Listeners {
    clients: Arc<TcpListener>,
    pub(crate) console: Arc<TcpListener>,
    guests: Arc<TcpListener>,
}

impl Listeners {
    /// Takes the ports of the last run if they are free, and remembers those it takes.
    async fn bind(store: &Store) -> Result<Self, TwinError> {
        let (clients, console) = {
            let state = store.lock();
            (state.account.endpoint_port, state.account.console_port)
        };
        let listeners = Self {
            clients: Arc::new(bind(clients).await?),
            console: Arc::new(bind(console).await?),
            guests: Arc::new(bind(0).await?),
        };
        let mut state = store.lock();
        state.account.endpoint_port = port(&listeners.clients)?;
        state.account.console_port = port(&listeners.console)?;
        store.write_account(&state)?;
        drop(state);
        Ok(listeners)
    }
}

async fn bind(preferred: u16) -> Result<TcpListener, TwinError> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, preferred)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(TwinError::Listen),
    }
}

fn port(listener: &TcpListener) -> Result<u16, TwinError> {
    listener.local_addr().map(|address| address.port()).map_err(TwinError::Listen)
}

/// Serves every connection in a task of its own.
async fn accept<F>(listener: Arc<TcpListener>, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream))),
            Err(error) => {
                // Out of descriptors, say: give others the time to close some.
                tracing::warn!("cannot take a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Accel;

    fn config(dir: &camino_tempfile::Utf8TempDir) -> Config {
        let mut config = Config::new(dir.path().join("state"), vec![]);
        config.accel = Accel::Tcg;
        config
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_daemon_that_nobody_wants_ends_itself() {
        let dir = camino_tempfile::tempdir().unwrap();
        let mut config = config(&dir);
        config.idle = Some(Duration::from_millis(50));
        let state = config.dir.clone();
        let served = serve(config, std::future::pending());
        tokio::time::timeout(Duration::from_secs(120), served).await.unwrap().unwrap();
        assert_eq!(crate::status(&state).unwrap(), None);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_daemon_serves_until_it_is_told_to_stop_and_its_ports_come_back() {
        let dir = camino_tempfile::tempdir().unwrap();
        let state = config(&dir).dir;
        let mut endpoints = Vec::new();
        for _ in 0..2 {
            let daemon = tokio::spawn(serve(config(&dir), std::future::pending()));
            let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
            let status = loop {
                if let Some(status) = crate::status(&state).unwrap() {
                    break status;
                }
                assert!(tokio::time::Instant::now() < deadline);
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            let second = serve(config(&dir), std::future::pending()).await;
            assert!(matches!(second, Err(TwinError::AlreadyRunning { .. })));
            endpoints.push((
                status.endpoint,
                status.access_key_id,
                status.serial_console_fingerprint,
            ));
            let state = state.clone();
            let stop = move || crate::stop(&state, Duration::from_secs(120));
            assert!(tokio::task::spawn_blocking(stop).await.unwrap().unwrap());
            daemon.await.unwrap().unwrap();
        }
        assert_eq!(endpoints[0], endpoints[1]);
    }
}
