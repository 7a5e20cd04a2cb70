//! Live migration with libvirt: this host's libvirtd sends a guest to that of another host (peer to
//! peer).
//!
//! Both libvirtds and both QEMU processes outlive the agent, so its death does not disturb a guest
//! on its way. While the agent lives, a thread waits for the end of the transfer, and another
//! raises the downtime that it may cost, step by step. Afterwards, the state of the domain shows
//! what became of it.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use std::vec::IntoIter;

use berth_api::v1;
use uuid::Uuid;
use virt::domain::{Domain, MigrateParameters};
use virt::error::Error;
use virt::sys as libvirt;

use super::downtime::{DowntimeStep, data_gib};
use super::fault::fault;
use super::paths::MovedPaths;
use super::{Inner, sys, target_uri};
use crate::{Fault, Job, Notice, ObservedState};

/// The interval in which the downtime and the time limit of a transfer are checked.
const TICK: Duration = Duration::from_millis(500);

/// The transfers that this agent has begun, and those that have failed.
#[derive(Debug, Default)]
pub(super) struct Transfers(Mutex<BTreeMap<Uuid, Attempt>>);

#[derive(Debug)]
struct Attempt {
    /// The generation of the desired state.
    generation: u64,
    /// Why the guest is still here; `None` while it is on its way.
    failure: Option<Fault>,
}

impl Transfers {
    fn attempts(&self) -> MutexGuard<'_, BTreeMap<Uuid, Attempt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a thread waits for the end of sending the guest.
    pub(super) fn is_on_its_way(&self, instance: Uuid) -> bool {
        self.attempts().get(&instance).is_some_and(|attempt| attempt.failure.is_none())
    }

    /// Notes that the guest is on its way. Fails as an attempt of the same generation has failed.
    fn begin(&self, instance: Uuid, generation: u64) -> Result<(), Fault> {
        let mut attempts = self.attempts();
        match attempts.get(&instance) {
            Some(Attempt { generation: of, failure: Some(failure) }) if *of == generation => {
                Err(failure.clone())
            }
            _ => {
                attempts.insert(instance, Attempt { generation, failure: None });
                Ok(())
            }
        }
    }

    fn end(&self, instance: Uuid, generation: u64, outcome: Result<(), Fault>) {
        let mut attempts = self.attempts();
        match outcome {
            Ok(()) => drop(attempts.remove(&instance)),
            Err(failure) => {
                let failure = Some(Fault::permanent(failure.message));
                attempts.insert(instance, Attempt { generation, failure });
            }
        }
    }
}

impl Inner {
    /// Begins to send a guest. A notice follows when it has left, or is not sent any longer.
    pub(super) fn begin_sending(self: Arc<Self>, job: &Job, generation: u64) -> Result<(), Fault> {
        let transfer =
            job.transfer.clone().ok_or_else(|| Fault::permanent("desired_guest.transfer: missing"))?;
        let instance = job.instance;
        let gone = || Fault::transient("sending: there is no such domain");
        let domain = self.domain(instance)?.ok_or_else(gone)?;
        let asked = |error| fault("reading the job of a domain", &error);
        if sys::job_operation(&domain).map_err(asked)?
            == Some(libvirt::VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)
        {
            return Ok(()); // since before this agent was started
        }
        let sending = self.plan_sending(&domain, instance, &transfer)?;
        self.transfers.begin(instance, generation)?;
        let name = format!("send-{}", instance.simple());
        let inner = Arc::clone(&self);
        let waiting = thread::Builder::new().name(name).spawn(move || {
            let was_paused = matches!(super::guests::power_of(&domain), Ok(ObservedState::Paused));
            let sent = sending.send(&domain, &transfer);
            if sent.is_err() && !was_paused {
                // It may have been paused to be sent.
                let _ = domain.resume(); // that it runs, or is off, is no error
            }
            inner.transfers.end(instance, generation, sent);
            inner.connection.notify(Notice::Disturbed(instance));
        });
        if let Err(error) = waiting {
            let failure = Fault::permanent(format!("sending: {error}"));
            self.transfers.end(instance, generation, Err(failure.clone()));
            return Err(failure);
        }
        Ok(())
    }

    fn plan_sending(
        &self,
        domain: &Domain,
        instance: Uuid,
        transfer: &v1::Transfer,
    ) -> Result<Sending, Fault> {
        let missing = || Fault::permanent(format!("host {:?} receives no guests", transfer.target_host));
        let target = transfer.target.as_ref().filter(|target| !target.uri.is_empty()).ok_or_else(missing)?;
        target_uri::check(&target.uri)?;
        let asked = |error| fault("reading the definition of a domain", &error);
        let described = libvirt::VIR_DOMAIN_XML_SECURE | libvirt::VIR_DOMAIN_XML_MIGRATABLE;
        let live = domain.xml_desc(described).map_err(asked)?;
        let kept = domain.xml_desc(described | libvirt::VIR_DOMAIN_XML_INACTIVE).map_err(asked)?;
        if transfer.is_shared && !is_uncached(&live) {
            let why = "its shared disks are in the host's page cache: reboot it hard first, or use a file system with direct I/O";
            return Err(Fault::permanent(format!("the guest cannot be sent: {why}")));
        }
        let moved = MovedPaths { from: [self.disks.directory(), self.images.directory()], to: target };
        let is_local = target.uri.starts_with("qemu+unix:");
        let address = if is_local { "127.0.0.1" } else { &transfer.target_address };
        let address = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let parameters = MigrateParameters {
            uri: Some(format!("tcp://{address}")),
            listen_address: is_local.then(|| "127.0.0.1".to_owned()),
            dest_xml: Some(moved.rewrite(&live)),
            persist_xml: Some(moved.rewrite(&kept)),
            bandwidth: least(transfer.bandwidth_mib, self.config.migration_bandwidth_mib).map(u64::from),
            tls_destination: (!is_local).then(|| transfer.target_host.clone()),
            ..MigrateParameters::default()
        };
        let disks = match transfer.is_shared {
            // libvirt does not know that the identity of the storage proves that.
            true => libvirt::VIR_MIGRATE_UNSAFE,
            false => libvirt::VIR_MIGRATE_NON_SHARED_INC,
        };
        let secrecy = if is_local { 0 } else { libvirt::VIR_MIGRATE_TLS };
        let flags = libvirt::VIR_MIGRATE_LIVE
            | libvirt::VIR_MIGRATE_PEER2PEER
            | libvirt::VIR_MIGRATE_PERSIST_DEST
            | libvirt::VIR_MIGRATE_UNDEFINE_SOURCE
            | disks
            | secrecy;
        let memory_kib = u32::try_from(domain.max_memory().map_err(asked)?).unwrap_or(u32::MAX);
        let disks = if transfer.is_shared { Vec::new() } else { self.disks.sizes_gib(instance) };
        let steps = self.config.downtime.steps(data_gib(f64::from(memory_kib) / f64::from(1 << 20), &disks));
        Ok(Sending { uri: target.uri.clone(), parameters, flags, steps })
    }

    /// Stops sending a guest. It may have left in this moment: its state says so afterwards.
    pub(super) fn stop_sending(&self, instance: Uuid) -> Result<(), Fault> {
        self.on(instance, "stopping to send the guest", sys::abort_job)
    }

    /// Pauses a guest that is being sent, so that its memory does not change any longer. It runs
    /// again on the other host.
    pub(super) fn force_sending(&self, instance: Uuid) -> Result<(), Fault> {
        self.on(instance, "pausing the guest until it has left", |domain| domain.suspend().map(drop))
    }
}

/// The lower of two limits; 0 is none.
fn least(one: u32, other: u32) -> Option<u32> {
    [one, other].into_iter().filter(|limit| *limit > 0).min()
}

/// Whether all disks of a domain are used without the host's page cache.
fn is_uncached(definition: &str) -> bool {
    let Ok(document) = roxmltree::Document::parse(definition) else { return false };
    let mut disks = document.descendants().filter(|node| node.has_tag_name("disk"));
    disks.all(|disk| {
        let driver = disk.children().find(|child| child.has_tag_name("driver"));
        driver
            .and_then(|driver| driver.attribute("cache"))
            .is_some_and(|cache| cache == "none" || cache == "directsync")
    })
}

/// How a guest is sent.
struct Sending {
    /// The other libvirtd.
    uri: String,
    parameters: MigrateParameters,
    flags: u32,
    steps: Vec<DowntimeStep>,
}

impl Sending {
    /// Sends the guest. Returns when it has left, or is not sent any longer.
    fn send(self, domain: &Domain, transfer: &v1::Transfer) -> Result<(), Fault> {
        let Self { uri, parameters, flags, steps } = self;
        // The limit holds from the start, also for a guest that is sent within a tick.
        let mut steps = steps.into_iter().peekable();
        if let Some(first) = steps.next_if(|step| step.after.is_zero()) {
            allow_downtime(domain, first.millis);
        }
        let (ended, end) = channel();
        thread::scope(|scope| {
            let steering = scope.spawn(move || steer(domain, transfer, steps, &end));
            let sent = domain.migrate_to_uri3(Some(&uri), parameters, flags);
            drop(ended);
            match (sent, steering.join()) {
                (Err(_), Ok(true)) => {
                    let limit = transfer.timeout_s;
                    Err(Fault::permanent(format!("sending the guest took longer than {limit} s")))
                }
                (sent, _) => sent.map_err(|error| fault("sending the guest", &error)),
            }
        })
    }
}

/// Sets how long the guest may be paused at the end.
fn allow_downtime(domain: &Domain, millis: u64) {
    if let Err(error) = domain.migrate_set_max_downtime(millis, 0) {
        // It may just have left.
        tracing::debug!("the downtime cannot be set: {}", error.message());
    }
}

/// Raises the downtime of a guest that is being sent, and acts when its time has passed. Returns
/// whether it was stopped for that.
fn steer(
    domain: &Domain,
    transfer: &v1::Transfer,
    mut steps: Peekable<IntoIter<DowntimeStep>>,
    end: &Receiver<()>,
) -> bool {
    #[expect(clippy::disallowed_methods, reason = "how long a real hypervisor takes")]
    let start = Instant::now();
    let mut limit = (transfer.timeout_s > 0).then(|| Duration::from_secs(transfer.timeout_s.into()));
    let mut is_stopped = false;
    while end.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        let passed = start.elapsed();
        let mut due = None;
        while let Some(step) = steps.next_if(|step| step.after <= passed) {
            due = Some(step.millis);
        }
        if let Some(millis) = due {
            allow_downtime(domain, millis);
        }
        if limit.take_if(|limit| *limit <= passed).is_some() {
            is_stopped = !transfer.forces_at_timeout;
            let acted: Result<(), Error> =
                if is_stopped { sys::abort_job(domain) } else { domain.suspend().map(drop) };
            if let Err(error) = acted {
                tracing::warn!("the transfer takes too long, and goes on: {}", error.message());
            }
        }
    }
    is_stopped
}
