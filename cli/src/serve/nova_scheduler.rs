//! nova-scheduler's place on the bus, if a `nova.conf` is given.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use berth_nova_scheduler::{ClaimLedger, NovaScheduler, NovaSettings, Outcome, RequestSummary};
use berth_placement::Index;
use berth_server::{HealthCheck, RequestLog, ServedRequest, Service, Subsystem};
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use crate::config::{ServeSettings, nova_settings};

/// Claims are made on the index of the Placement service in this process.
struct OwnIndex(Arc<Service>);

impl ClaimLedger for OwnIndex {
    fn index(&self) -> Result<Arc<Index>, Arc<str>> {
        self.0.writable_index()
    }

    fn wait_durable(&self) -> Pin<Box<dyn Future<Output = Result<(), Arc<str>>> + Send + '_>> {
        Box::pin(self.0.wait_durable())
    }
}

/// What the service shows of the scheduler to operators.
struct Shown(Arc<NovaScheduler>);

impl RequestLog for Shown {
    fn recent(&self) -> Vec<ServedRequest> {
        self.0.recent_requests().into_iter().map(shown).collect()
    }
}

impl Subsystem for Shown {
    fn append_metrics(&self, text: &mut String) {
        self.0.append_metrics(text);
    }

    fn health(&self) -> Vec<HealthCheck> {
        let checks = self.0.health().into_iter();
        checks.map(|(name, is_ok, reason)| HealthCheck { name: name.to_owned(), is_ok, reason }).collect()
    }
}

fn shown(request: RequestSummary) -> ServedRequest {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut shown = ServedRequest {
        arrived_us: u64::try_from(request.at).unwrap_or_default(),
        took_us: u64::try_from(request.took).unwrap_or_default(),
        request_id: request.request_id,
        instances: request.instances,
        project: request.project,
        flavor: request.flavor,
        ..ServedRequest::default()
    };
    match request.outcome {
        Outcome::Placed(hosts) => shown.chosen = hosts,
        Outcome::Refused { message, removed, hosts, placed, explanation, .. } => {
            shown.refusal = message;
            shown.removed = removed.into_iter().map(|(step, count)| (step, number(count))).collect();
            shown.hosts = number(hosts);
            shown.placed = number(placed);
            shown.explanation = explanation;
        }
    }
    shown
}

/// The settings, if Berth is to serve Nova.
pub(super) fn settings(settings: &ServeSettings, data: Option<&Path>) -> Result<Option<NovaSettings>> {
    nova_settings(settings, data, host_name, u64::try_from(now()).unwrap_or_default())
}

/// Serves Nova until `stop` turns true; not at all without settings.
///
/// On a thread of its own: a request passes between bus, databases, decision and store a dozen
/// times, and waking another thread each time would take more than the work itself.
pub(super) async fn serve(
    settings: Option<NovaSettings>,
    service: Arc<Service>,
    stop: watch::Receiver<bool>,
) -> Result<()> {
    let Some(settings) = settings else { return Ok(()) };
    let ledger = Arc::new(OwnIndex(Arc::clone(&service)));
    let scheduler = Arc::new(NovaScheduler::new(settings, ledger, now));
    let shown = Arc::new(Shown(Arc::clone(&scheduler)));
    service.show_requests(Arc::clone(&shown) as Arc<dyn RequestLog>);
    service.show_subsystem(shown);
    let run = move || {
        let runtime = Builder::new_current_thread().enable_all().build().context("cannot start the bus")?;
        runtime.block_on(scheduler.run(stop)).context("serve.nova_conf")
    };
    let (sender, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name("nova".to_owned());
    thread.spawn(move || drop(sender.send(run()))).context("cannot start the bus")?;
    outcome.await.context("the bus has failed")?
}

/// Microseconds since 1970.
fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX)
}

/// What Nova takes for `[DEFAULT] host` where the option is missing.
fn host_name() -> Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").context("cannot read the host's name")?;
    Ok(name.trim().to_owned())
}
