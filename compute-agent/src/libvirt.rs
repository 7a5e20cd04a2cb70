//! Guests as libvirt domains, on QEMU with KVM or, where there is none, with software emulation.

mod blueprint;
mod capabilities;
mod config_drive;
mod connection;
mod cpus;
mod disks;
mod domain;
mod downtime;
mod fault;
mod files;
mod guests;
mod images;
mod live;
mod ownership;
mod paths;
mod records;
mod supported;
mod survey;
mod sys;
mod target_uri;
mod traits;
mod xml;

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::disks::{DiskPart, Incoming};
use crate::{Facts, Fault, Found, GuestStep, Hypervisor, Job, Notice, StepOutcome};
use connection::Connection;
use cpus::GuestCpus;
use disks::{Disks, NO_FOLLOW};
pub use downtime::Downtime;
use images::Images;
use live::Transfers;
use records::Records;
use survey::Surveyed;

/// The number of steps that run at the same time.
const STEPS: usize = 16;
/// The interval between checks of the connection to libvirtd.
const WATCH: Duration = Duration::from_millis(500);

/// The CPU model of guests on KVM. Software emulation has its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CpuMode {
    /// QEMU's default.
    HypervisorDefault,
    /// The model closest to the host's.
    HostModel,
    /// The host's CPU.
    HostPassthrough,
}

/// Settings of the driver.
#[derive(Clone, Debug)]
pub struct Config {
    /// URI of a libvirtd on this machine.
    pub uri: String,
    /// The host's UUID; None for the one in the state directory or, at the first start, libvirt's.
    pub host_uuid: Option<Uuid>,
    /// The directory of images.
    pub images: PathBuf,
    /// The directory of the guests' disks.
    pub instances: PathBuf,
    /// The directory of the agent's state.
    pub state: PathBuf,
    /// The CPU model of guests.
    pub cpu_mode: CpuMode,
    /// Features that the CPUs of guests do not get.
    pub disabled_cpu_features: Vec<String>,
    /// Where libvirtds of other hosts reach this host's, to send running guests to it; None if they
    /// cannot.
    pub migration_uri: Option<String>,
    /// The most that this host sends of a guest, in MiB/s; 0 for no limit.
    pub migration_bandwidth_mib: u32,
    /// How long a guest may be paused at the end of being sent.
    pub downtime: Downtime,
}

/// Why the driver cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenDriverError {
    /// A directory cannot be used.
    #[error("{option} {path:?} cannot be used")]
    Directory {
        /// The option that names the directory.
        option: &'static str,
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another agent uses the state directory.
    #[error("--state {0:?} is used by another agent")]
    InUse(PathBuf),
    /// The given UUID differs from the stored UUID of this host.
    #[error("--host-uuid {given} is not this host's, which is {kept} by {file:?}")]
    OtherHost {
        /// The value of the option.
        given: Uuid,
        /// The stored UUID.
        kept: String,
        /// The file that stores it.
        file: PathBuf,
    },
}

/// The libvirt driver.
pub struct Libvirt {
    inner: Arc<Inner>,
    steps: Arc<Semaphore>,
}

struct Inner {
    config: Config,
    connection: Connection,
    images: Images,
    disks: Disks,
    records: Records,
    transfers: Transfers,
    cpus: GuestCpus,
    has_kvm: bool,
    /// The latest survey of the host.
    surveyed: Mutex<Option<Arc<Surveyed>>>,
    /// Locked as long as the agent runs.
    _lock: File,
}

impl Libvirt {
    /// Opens the directories. libvirtd need not run yet.
    ///
    /// # Errors
    /// A directory cannot be used, or the host's UUID has changed.
    pub fn open(config: Config) -> Result<Self, OpenDriverError> {
        let Config { images, instances, state, .. } = &config;
        images.read_dir().map_err(|source| unusable("--images", images, source))?;
        let lock = lock(state)?;
        // Domains name these files; libvirtd has another working directory.
        let [images, instances] = [("--images", images), ("--instances", instances)].map(absolute);
        let disks =
            Disks::open(instances?).map_err(|source| unusable("--instances", &config.instances, source))?;
        let records = Records::open(state).map_err(|source| unusable("--state", state, source))?;
        survey::check_host_uuid(&config)?;
        let has_kvm = is_kvm_usable();
        let inner = Inner {
            connection: Connection::new(config.uri.clone()),
            images: Images::new(images?),
            disks,
            records,
            transfers: Transfers::default(),
            cpus: GuestCpus::default(),
            has_kvm,
            surveyed: Mutex::new(None),
            _lock: lock,
            config,
        };
        Ok(Self { inner: Arc::new(inner), steps: Arc::new(Semaphore::new(STEPS)) })
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> T {
        let inner = Arc::clone(&self.inner);
        match spawn_blocking(move || work(&inner)).await {
            Ok(value) => value,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

fn unusable(option: &'static str, path: &Path, source: io::Error) -> OpenDriverError {
    OpenDriverError::Directory { option, path: path.to_owned(), source }
}

fn absolute((option, path): (&'static str, &PathBuf)) -> Result<PathBuf, OpenDriverError> {
    std::path::absolute(path).map_err(|source| unusable(option, path, source))
}

/// Locks the state directory, because two agents on one directory would conflict.
fn lock(state: &Path) -> Result<File, OpenDriverError> {
    let failed = |source| unusable("--state", state, source);
    DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(failed)?;
    // Following a link would lock another file.
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(NO_FOLLOW);
    let file = options.open(state.join("lock")).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenDriverError::InUse(state.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn is_kvm_usable() -> bool {
    match File::options().read(true).write(true).open("/dev/kvm") {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!("/dev/kvm: {error}: guests run by software emulation (TCG), which is slow");
            false
        }
    }
}

impl Hypervisor for Libvirt {
    async fn facts(&self) -> Result<Facts, Fault> {
        self.blocking(Inner::facts).await
    }

    async fn guests(&self) -> Result<Vec<Found>, Fault> {
        self.blocking(Inner::guests).await
    }

    async fn perform(&self, job: Job) -> StepOutcome {
        // The semaphore is never closed.
        let _turn = self.steps.acquire().await;
        if let GuestStep::Send { generation } = job.step {
            let inner = Arc::clone(&self.inner);
            return self.blocking(move |of| of.observed(&job, inner.begin_sending(&job, generation))).await;
        }
        let parts = job.incoming.as_ref().filter(|_| job.step == GuestStep::Fetch).map(Incoming::fetch);
        self.blocking(move |inner| inner.perform(&job, parts)).await
    }

    async fn forget(&self, instance: Uuid) {
        let removed = self.blocking(move |inner| inner.records.remove(instance)).await;
        if let Err(error) = removed {
            tracing::warn!(%instance, "the record cannot be deleted: {error}");
        }
    }

    async fn export(&self, guest: Uuid) -> Result<Vec<DiskPart>, Fault> {
        self.blocking(move |inner| inner.export(guest)).await
    }

    async fn console(&self, guest: Uuid, most_bytes: u32) -> Result<Vec<u8>, Fault> {
        self.blocking(move |inner| inner.disks.console(guest, most_bytes)).await
    }

    fn missing_cpu_features(&self, guest: Uuid) -> Vec<String> {
        self.inner.missing_cpu_features(guest)
    }

    fn disk_available_gb(&self) -> u32 {
        self.inner.disks.space_gb().map_or(0, |(_, available)| available)
    }

    fn notices(&self) -> UnboundedReceiver<Notice> {
        let (sender, receiver) = unbounded_channel();
        self.inner.connection.set_notices(sender);
        tokio::spawn(watch(Arc::downgrade(&self.inner)));
        receiver
    }
}

/// Checks the connection regularly, so its loss and return are noticed on an idle host too.
async fn watch(inner: Weak<Inner>) {
    let mut ticks = tokio::time::interval(WATCH);
    let mut was_lost = false;
    loop {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        let got = spawn_blocking(move || inner.connection.get().map(drop)).await;
        let lost = got.ok().and_then(Result::err);
        if let Some(fault) = lost.as_ref().filter(|_| !was_lost) {
            tracing::warn!("{fault}");
        }
        was_lost = lost.is_some();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_a_link_is_not_followed() {
        let directory = tempfile::tempdir().expect("a directory");
        let state = directory.path().join("state");
        drop(lock(&state).expect("locked"));
        let precious = directory.path().join("precious");
        std::fs::write(&precious, "content").expect("written");
        std::fs::remove_file(state.join("lock")).expect("there");
        std::os::unix::fs::symlink(&precious, state.join("lock")).expect("made");
        let error = lock(&state).expect_err("refused");
        assert!(error.to_string().starts_with("--state"), "{error}");
        assert_eq!(std::fs::read_to_string(precious).expect("there"), "content");
    }
}
