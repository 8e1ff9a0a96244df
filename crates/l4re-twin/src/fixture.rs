//! A twin for tests, with its real services and a stand-in for QEMU: it prints a line and
//! gives back what is typed, until it is killed.

use std::sync::Arc;

use camino::Utf8Path;
use camino_tempfile::Utf8TempDir;

use crate::Config;
use crate::daemon::Daemon;
use crate::twin::Twin;

/// The twin of one test. What it leaves goes with it.
pub(crate) struct TestTwin {
    pub(crate) twin: Arc<Twin>,
    pub(crate) daemon: Daemon,
    _tasks: tokio::task::JoinSet<()>,
    config: Config,
    _dir: Utf8TempDir,
}

impl TestTwin {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::build("qemu-stand-in", change).await
    }

    pub(crate) async fn with_dying_qemu() -> Self {
        Self::build("qemu-dying", |_| {}).await
    }

    /// The programs lie in the source tree: one that was just written could not be run while
    /// another test's child still holds it open.
    async fn build(program: &str, change: impl FnOnce(&mut Config)) -> Self {
        let dir = camino_tempfile::tempdir().unwrap();
        let file = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(program);
        let roms = dir.path().join("roms");
        fs_err::create_dir(&roms).unwrap();
        fs_err::write(roms.join("efi-virtio.rom"), "").unwrap();
        let mut config = Config::new(dir.path().join("state"), vec!["/bin/false".to_owned()]);
        config.accel = crate::Accel::Tcg;
        config.firmware = crate::Firmware {
            qemu_x86_64: file.clone(),
            qemu_aarch64: file.clone(),
            ovmf_code: file.clone(),
            ovmf_vars: file.clone(),
            aavmf_code: file.clone(),
            aavmf_vars: file.clone(),
            ipxe_efi: file,
            ipxe_roms: roms,
        };
        fs_err::create_dir(&config.dir).unwrap();
        change(&mut config);
        let daemon = Daemon::open(config.clone()).await.unwrap();
        Self { twin: daemon.twin.clone(), _tasks: daemon.listen(), daemon, config, _dir: dir }
    }

    /// The same state directory read by another daemon, after this one's end.
    pub(crate) async fn reopen(&mut self) {
        self.twin.machines.end_all().await;
        self.daemon = Daemon::open(self.config.clone()).await.unwrap();
        self.twin = self.daemon.twin.clone();
    }
}
