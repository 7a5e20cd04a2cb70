//! One refresh for all requests that wait: each decision rests on rows that were read after its
//! request arrived.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::interval;
use uuid::Uuid;

use crate::reader::Reader;

/// How often the rest is read: cells, all instances, and cells that are down.
#[derive(Debug, Clone, Copy)]
pub struct Intervals {
    /// Between two complete readings of instances, aggregates and cell mappings.
    pub everything: Duration,
    /// Between two attempts to read a cell that is down.
    pub probe: Duration,
}

impl Default for Intervals {
    fn default() -> Self {
        Self { everything: Duration::from_secs(60), probe: Duration::from_secs(5) }
    }
}

/// Refreshes when a request asks for it. Requests that arrive while a refresh runs share the next
/// one.
pub struct Freshness {
    reader: Arc<Reader>,
    demand: Mutex<Demand>,
    wanted: Notify,
    finished: watch::Sender<u64>,
}

#[derive(Default)]
struct Demand {
    /// Instances whose hosts are needed.
    instances: BTreeSet<Uuid>,
    /// The number of the refresh that begins next.
    next: u64,
}

impl Freshness {
    /// Nothing is refreshed before [`Freshness::run`].
    #[must_use]
    pub fn new(reader: Arc<Reader>) -> Self {
        let demand = Mutex::new(Demand { next: 1, ..Demand::default() });
        Self { reader, demand, wanted: Notify::new(), finished: watch::Sender::new(0) }
    }

    /// Waits for a refresh that begins after this call and also looks for these instances.
    pub async fn fresh(&self, instances: impl IntoIterator<Item = Uuid>) {
        let ticket = {
            let mut demand = self.lock();
            demand.instances.extend(instances);
            demand.next
        };
        self.wanted.notify_one();
        let mut finished = self.finished.subscribe();
        // The sender lives as long as `self`, so there is no error.
        drop(finished.wait_for(|finished| *finished >= ticket).await);
    }

    /// Refreshes on demand, for ever.
    pub async fn run(&self) {
        loop {
            self.wanted.notified().await;
            let (instances, number) = {
                let mut demand = self.lock();
                let number = demand.next;
                demand.next += 1;
                (std::mem::take(&mut demand.instances), number)
            };
            self.reader.refresh(&instances).await;
            self.finished.send_replace(number);
        }
    }

    /// Reads what no request asks for, at intervals, for ever.
    pub async fn maintain(&self, intervals: Intervals) {
        let (mut everything, mut probe) = (interval(intervals.everything), interval(intervals.probe));
        everything.tick().await; // the first tick is at once
        loop {
            tokio::select! {
                _ = everything.tick() => self.read_everything().await,
                _ = probe.tick() => self.reader.probe().await,
            }
        }
    }

    /// Reads cells, aggregates and instances.
    pub async fn read_everything(&self) {
        if let Err(error) = self.reader.read_cells().await {
            tracing::warn!(%error, "the cells cannot be read: they are those of before");
        }
        if let Err(error) = self.reader.read_all_aggregates().await {
            tracing::warn!(%error, "the aggregates cannot be read: they are those of before");
        }
        self.reader.read_instances().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Demand> {
        self.demand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
