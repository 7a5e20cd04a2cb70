//! Starts everything: databases, bus, service record.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_nova_database::{
    Clock, DatabaseError, DatabaseOptions, Freshness, NovaHosts, OwnServiceRecord, Reader,
};
use berth_nova_rpc::bus::{BusError, BusStatistics, serve};
use tokio::sync::watch;
use tokio::time::{interval, sleep};
use uuid::Uuid;

use crate::decisions::Decisions;
use crate::ledger::ClaimLedger;
use crate::requests::RecentRequests;
use crate::service::Service;
use crate::settings::NovaSettings;

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
}

/// Serves Nova until `stop` turns true.
///
/// # Errors
/// [`NovaError`]: options that another attempt would not help. Databases and brokers that do not answer are tried again.
pub async fn run(
    settings: NovaSettings,
    ledger: Arc<dyn ClaimLedger>,
    requests: Arc<RecentRequests>,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) -> Result<(), NovaError> {
    let hosts = Arc::new(NovaHosts::new(settings.options.general.down_time()));
    let options = DatabaseOptions {
        api: settings.api_database.clone(),
        default_url: settings.database.as_ref().map(|(text, _)| text.clone()),
        cell_timeout: settings.cell_timeout,
        clock,
    };
    let reader = Arc::new(Reader::new(options, Arc::clone(&hosts)));
    tokio::select! {
        started = start(&reader) => started?,
        _ = stop.wait_for(|stops| *stops) => return Ok(()),
    }
    let counts = hosts.counts();
    tracing::info!(?counts, "read the databases of Nova");
    let freshness = Arc::new(Freshness::new(reader));
    let service = Service {
        topic: settings.bus.topic.clone(),
        hosts,
        freshness: Arc::clone(&freshness),
        ledger,
        decisions: Mutex::new(Decisions::new(settings.options.clone(), settings.seed)),
        requests,
        clock,
    };
    let record = settings
        .database
        .as_ref()
        .map(|(_, url)| OwnServiceRecord::new(url, settings.bus.host.clone(), settings.bus.topic.clone()));
    let statistics = Arc::new(BusStatistics::default());
    let bus = serve(settings.bus, Arc::new(service), statistics, stop, settings.grace);
    tokio::select! {
        served = bus => Ok(served?),
        () = freshness.run() => Ok(()),
        () = freshness.maintain(settings.intervals) => Ok(()),
        () = report(record, settings.report_interval) => Ok(()),
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
