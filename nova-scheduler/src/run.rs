//! Starts everything: databases, bus, service record.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_nova_database::{
    Clock, DatabaseError, DatabaseOptions, Freshness, NovaHosts, OwnServiceRecord, ReadStatistics, Reader,
};
use berth_nova_rpc::bus::{BusError, BusStatistics, serve};
use tokio::sync::watch;
use tokio::time::{interval, sleep};
use uuid::Uuid;

use crate::decisions::Decisions;
use crate::engine::Engine;
use crate::explanations::Explanations;
use crate::ledger::ClaimLedger;
use crate::metrics::NovaMetrics;
use crate::remote::{InvalidAuthorities, RemoteDecisions};
use crate::requests::{RecentRequests, RequestSummary};
use crate::service::Service;
use crate::settings::NovaSettings;
use crate::shadow::Shadow;

/// The pause before another attempt to read the databases at the start.
const PAUSE: Duration = Duration::from_secs(2);

/// Why the service cannot serve Nova.
#[derive(Debug, thiserror::Error)]
pub enum NovaError {
    /// A database is of another release.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The bus is declared in another way.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The certificates for the other Placement service cannot be used.
    #[error("[placement] cafile: {0}")]
    Authorities(#[from] InvalidAuthorities),
    /// The records of shadow mode cannot be written.
    #[error("{file}: {problem}")]
    Records {
        /// The file.
        file: String,
        /// The problem.
        problem: std::io::Error,
    },
}

/// A scheduler of Nova, and what operators see of it.
pub struct NovaScheduler {
    settings: NovaSettings,
    ledger: Arc<dyn ClaimLedger>,
    clock: Clock,
    hosts: Arc<NovaHosts>,
    bus: Arc<BusStatistics>,
    reads: Arc<ReadStatistics>,
    requests: Arc<RecentRequests>,
    metrics: Arc<NovaMetrics>,
}

impl NovaScheduler {
    /// A scheduler that serves nothing before [`NovaScheduler::run`].
    #[must_use]
    pub fn new(settings: NovaSettings, ledger: Arc<dyn ClaimLedger>, clock: Clock) -> Self {
        let hosts = Arc::new(NovaHosts::new(settings.options.general.down_time()));
        let (bus, reads) = (Arc::<BusStatistics>::default(), Arc::<ReadStatistics>::default());
        let metrics = NovaMetrics::new(Arc::clone(&bus), Arc::clone(&hosts), Arc::clone(&reads), clock);
        let (requests, metrics) = (Arc::default(), Arc::new(metrics));
        Self { settings, ledger, clock, hosts, bus, reads, requests, metrics }
    }

    /// The requests that are kept, oldest first.
    #[must_use]
    pub fn recent_requests(&self) -> Vec<RequestSummary> {
        self.requests.all()
    }

    /// Appends the metrics in the OpenMetrics format, without the end of the document.
    pub fn append_metrics(&self, text: &mut String) {
        self.metrics.append_to(text);
    }

    /// The parts that requests of Nova need: name, whether it works, and its state or why not.
    #[must_use]
    pub fn health(&self) -> Vec<(&'static str, bool, String)> {
        let counts = self.hosts.counts();
        let is_read = counts.cells > 0;
        let databases = match (is_read, counts.cells_down) {
            (false, _) => "the databases of Nova were not read yet".to_owned(),
            (true, 0) => format!("{} cells are read", counts.cells),
            (true, down) => format!("{down} of {} cells cannot be read", counts.cells),
        };
        let is_connected = self.bus.is_connected();
        let bus = if is_connected { "connected" } else { "there is no connection to a broker" };
        vec![
            ("nova_bus", is_connected, bus.to_owned()),
            ("nova_databases", is_read && counts.cells_down == 0, databases),
        ]
    }

    /// Serves Nova until `stop` turns true.
    ///
    /// # Errors
    /// [`NovaError`]: options that another attempt would not help. Databases and brokers that do
    /// not answer are tried again.
    pub async fn run(&self, mut stop: watch::Receiver<bool>) -> Result<(), NovaError> {
        let (shadow, engine) = (self.shadow()?, self.engine()?);
        let reader = Arc::new(self.reader());
        tokio::select! {
            started = start(&reader) => started?,
            _ = stop.wait_for(|stops| *stops) => return Ok(()),
        }
        let counts = self.hosts.counts();
        tracing::info!(?counts, "read the databases of Nova");
        let discovery = discover(Arc::clone(&reader), self.settings.discover_hosts);
        let freshness = Arc::new(Freshness::new(reader));
        let service = Arc::new(self.service(&freshness, engine, shadow));
        let (settings, statistics) = (&self.settings, Arc::clone(&self.bus));
        let bus = serve(settings.bus.clone(), service, statistics, stop, settings.grace);
        tokio::select! {
            served = bus => Ok(served?),
            () = freshness.run() => Ok(()),
            () = freshness.maintain(settings.intervals) => Ok(()),
            () = report(self.record(), settings.report_interval) => Ok(()),
            () = discovery => Ok(()),
        }
    }

    fn reader(&self) -> Reader {
        let options = DatabaseOptions {
            api: self.settings.api_database.clone(),
            default_url: self.settings.database.as_ref().map(|(text, _)| text.clone()),
            cell_timeout: self.settings.cell_timeout,
            clock: self.clock,
        };
        Reader::new(options, Arc::clone(&self.hosts), Arc::clone(&self.reads))
    }

    fn service(&self, freshness: &Arc<Freshness>, engine: Engine, shadow: Option<Arc<Shadow>>) -> Service {
        Service {
            topic: self.settings.bus.topic.clone(),
            hosts: Arc::clone(&self.hosts),
            freshness: Arc::clone(freshness),
            requests: Arc::clone(&self.requests),
            explanations: Explanations::new(Arc::clone(&self.requests), engine.explanations_at_once()),
            engine,
            metrics: Arc::clone(&self.metrics),
            shadow,
            clock: self.clock,
        }
    }

    /// Decides on the index of Placement in this process, unless the settings name another
    /// Placement service.
    fn engine(&self) -> Result<Engine, NovaError> {
        let NovaSettings { options, seed, placement, .. } = &self.settings;
        Ok(match placement {
            Some(placement) => {
                Engine::Remote(Box::new(RemoteDecisions::new(options.clone(), placement, *seed)?))
            }
            None => {
                let decisions = Box::new(Mutex::new(Decisions::new(options.clone(), *seed)));
                Engine::Index { ledger: Arc::clone(&self.ledger), decisions }
            }
        })
    }

    /// Shadow mode, if it is on, with a file that can be written.
    fn shadow(&self) -> Result<Option<Arc<Shadow>>, NovaError> {
        let Some(settings) = &self.settings.shadow else { return Ok(None) };
        let shadow = Shadow::new(settings, Arc::clone(&self.metrics));
        let file = settings.records.display().to_string();
        shadow.check().map_err(|problem| NovaError::Records { file, problem })?;
        Ok(Some(Arc::new(shadow)))
    }

    /// The service record; none without `[database] connection`.
    fn record(&self) -> Option<OwnServiceRecord> {
        let (_, url) = self.settings.database.as_ref()?;
        let bus = &self.settings.bus;
        Some(OwnServiceRecord::new(url, bus.host.clone(), bus.topic.clone()))
    }
}

/// Reads everything; again and again while the databases do not answer.
async fn start(reader: &Reader) -> Result<(), DatabaseError> {
    loop {
        match reader.start().await {
            Err(error @ (DatabaseError::Query(_) | DatabaseError::Timeout(_))) => {
                tracing::warn!(%error, "the databases of Nova cannot be read yet");
                sleep(PAUSE).await;
            }
            other => return other,
        }
    }
}

/// Maps new hosts to their cells, for ever.
async fn discover(reader: Arc<Reader>, every: Option<Duration>) {
    let Some(every) = every else { return std::future::pending().await };
    let mut ticks = interval(every);
    loop {
        ticks.tick().await;
        match reader.discover_hosts().await {
            Ok(hosts) if hosts.is_empty() => {}
            Ok(hosts) => tracing::info!(?hosts, "new hosts are mapped to their cells"),
            Err(error) => tracing::warn!(%error, "new hosts cannot be mapped to their cells"),
        }
    }
}

/// Keeps the service record, for ever.
async fn report(record: Option<OwnServiceRecord>, every: Duration) {
    let Some(record) = record else { return std::future::pending().await };
    let mut ticks = interval(every);
    let mut was_reported = true;
    loop {
        ticks.tick().await;
        #[expect(clippy::disallowed_methods, reason = "this is the edge: a new row gets a new id")]
        let uuid = Uuid::new_v4().to_string();
        let reported = record.report(&uuid).await;
        match &reported {
            Err(error) if was_reported => tracing::warn!(%error, "the service record cannot be written"),
            Ok(()) if !was_reported => tracing::info!("the service record is written again"),
            _ => {}
        }
        was_reported = reported.is_ok();
    }
}
