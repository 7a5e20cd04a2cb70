//! Keeping the state of a running service in a store, also through the store's failures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use berth_placement::TopologyError;
use berth_store::{Committer, DataError, Durability, DurabilityOptions, EmbeddedStore, Queue, Store, probe};

use crate::decision_log::Leaving;
use crate::fleet::{FleetHandle, FleetOptions, FleetState};
use crate::request::{Access, Epoch};
use crate::service::{Service, ServiceOptions, now};
use crate::{Contents, DataDir, standard};

type Loaded = berth_store::Loaded<FleetState>;

/// How long to wait before a store that failed is opened again: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Keeps a service's state in a directory.
///
/// When the store fails (a full disk, most often), nothing that was not durable is reported any
/// more, and requests that wait for it fail. The store is opened again, and the service goes on
/// with what it has. While it can be read but not written, reading requests are answered, also from
/// the start.
pub struct Keeper {
    stop: Arc<Stop>,
    thread: JoinHandle<()>,
}

/// A service that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory or its content.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The index has no capacity for the standard names.
    #[error(transparent)]
    Full(#[from] TopologyError),
    /// The system refuses a thread.
    #[error("cannot start the thread that keeps the state: {0}")]
    Thread(io::Error),
}

/// The request to stop.
#[derive(Default)]
struct Stop {
    state: Mutex<Stopping>,
    requested: Condvar,
}

#[derive(Default)]
struct Stopping {
    requested: bool,
    /// The queue of the present changes.
    queue: Option<Arc<Queue>>,
}

impl Keeper {
    /// A service over the state of the directory.
    ///
    /// # Errors
    /// A directory that has no readable state, has lost it, or cannot be written for another reason
    /// than a full disk.
    pub fn start(
        directory: DataDir,
        options: ServiceOptions,
        durability: DurabilityOptions,
    ) -> Result<(Arc<Service>, Self), StartError> {
        Self::start_through(directory, options, durability, |store| Box::new(store))
    }

    /// As [`Self::start`], with something between the service and each store that is opened: for
    /// tests that make it fail.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_through(
        directory: DataDir,
        options: ServiceOptions,
        durability: DurabilityOptions,
        through: impl Fn(EmbeddedStore) -> Box<dyn Store> + Send + 'static,
    ) -> Result<(Arc<Service>, Self), StartError> {
        let stop = Arc::new(Stop::default());
        let (epoch, committer) = match directory.open_for_service() {
            Ok((store, loaded)) => {
                let (epoch, committer) = begin(through(store), loaded, durability, &options.fleet, &stop)?;
                (epoch, Some(committer))
            }
            Err(error) if error.is_unwritable() => {
                // If the store cannot be read either, the first error is the cause.
                let Ok(contents) = directory.load_unwritable() else { return Err(error.into()) };
                let reason = error.to_string();
                tracing::error!(reason, "the store cannot be written: only reading requests are answered");
                (read_only(contents, &reason, &options.fleet), None)
            }
            Err(error) => return Err(error.into()),
        };
        let service = Arc::new(Service::at(epoch, options));
        let (through, keeps) = (Box::new(through), Arc::clone(&service));
        let keeping = Keeping { directory, through, service: keeps, durability, stop: Arc::clone(&stop) };
        let thread = thread::Builder::new().name("store".into()).spawn(move || keeping.run(committer));
        Ok((service, Self { stop, thread: thread.map_err(StartError::Thread)? }))
    }

    /// Commits what is left, and closes the store.
    pub fn stop(self) {
        self.stop.request();
        if self.thread.join().is_err() {
            tracing::error!("the thread that keeps the state panicked");
        }
    }
}

impl Stop {
    fn request(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requested = true;
        if let Some(queue) = &state.queue {
            queue.close();
        }
        self.requested.notify_all();
    }

    /// This is the queue to close.
    fn watch(&self, queue: &Arc<Queue>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.requested {
            queue.close();
        }
        state.queue = Some(Arc::clone(queue));
    }

    /// Waits; returns whether it is time to stop.
    fn pause(&self, time: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.requested.wait_timeout_while(state, time, |state| !state.requested);
        waited.unwrap_or_else(PoisonError::into_inner).0.requested
    }
}

/// An index whose changes go to the store from now on.
fn begin(
    store: Box<dyn Store>,
    Loaded { contents: Contents { index, fleet }, encoder, .. }: Loaded,
    durability: DurabilityOptions,
    options: &FleetOptions,
    stop: &Stop,
) -> Result<(Epoch, Committer), TopologyError> {
    let queue = Arc::new(Queue::default());
    let index = Arc::new(index.recorded_by(Arc::new(Leaving(Arc::clone(&queue)))));
    standard::add_to(&mut index.write_at(now()))?;
    stop.watch(&queue);
    let committer = Committer::new(Arc::clone(&index), Arc::clone(&queue), store, encoder);
    let fleet = FleetHandle::new(Arc::clone(&index), Some(Arc::clone(&queue)), fleet, options.clone());
    if durability.stepwise {
        queue.go_stepwise();
    }
    let durability = Durability::new(queue, committer.progress(), durability.mode);
    Ok((Epoch { index, fleet: Arc::new(fleet), access: Access::Durable(durability) }, committer))
}

/// The state of a store that cannot be written.
fn read_only(Contents { index, fleet }: Contents, reason: &str, options: &FleetOptions) -> Epoch {
    let index = Arc::new(index);
    let fleet = FleetHandle::new(Arc::clone(&index), None, fleet, options.clone());
    Epoch { index, fleet: Arc::new(fleet), access: Access::ReadOnly(reason.into()) }
}

struct Keeping {
    directory: DataDir,
    through: Box<dyn Fn(EmbeddedStore) -> Box<dyn Store> + Send>,
    service: Arc<Service>,
    durability: DurabilityOptions,
    stop: Arc<Stop>,
}

impl Keeping {
    fn run(self, committer: Option<Committer>) {
        let mut next = committer.or_else(|| self.begin_again());
        while let Some(mut committer) = next {
            let note = |records, took| self.service.metrics.note_commit(records, took);
            let ended = catch_unwind(AssertUnwindSafe(|| committer.run(self.durability.commit_delay, note)));
            let reason = match ended {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the store panicked".to_owned(),
            };
            tracing::error!(
                reason,
                "changes cannot be made durable; changes that are not on disk are rolled back"
            );
            self.service.metrics.note_store_failure();
            let (index, fleet) = {
                let epoch = self.service.epoch();
                (Arc::clone(&epoch.index), Arc::clone(&epoch.fleet))
            };
            self.service.begin_epoch(Epoch { index, fleet, access: Access::Down(reason.as_str().into()) });
            committer.fail(&reason);
            // A store that panicked may panic once more.
            drop(catch_unwind(AssertUnwindSafe(|| drop(committer))));
            next = self.begin_again();
        }
    }

    /// Opens the store again, as often as it takes; `None` when it is time to stop.
    fn begin_again(&self) -> Option<Committer> {
        let (mut pause, longest) = PAUSE;
        while !self.stop.pause(pause) {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.try_again()));
            match outcome.unwrap_or_else(|_| Err("the store panicked".to_owned())) {
                Ok((epoch, committer)) => {
                    self.service.begin_epoch(epoch);
                    tracing::info!("the store works again");
                    return Some(committer);
                }
                Err(reason) => tracing::warn!(reason, "the store does not work yet"),
            }
            pause = (2 * pause).min(longest);
        }
        None
    }

    /// Answers reading requests from what is on disk, if that is not done already.
    fn only_read(&self, reason: &str, load: impl FnOnce() -> Result<Contents, DataError>) {
        if matches!(self.service.epoch().access, Access::ReadOnly(_)) {
            return;
        }
        match load() {
            Ok(contents) => {
                self.service.begin_epoch(read_only(contents, reason, &self.service.options.fleet));
            }
            Err(error) => tracing::warn!(%error, "the store cannot be read either"),
        }
    }

    fn try_again(&self) -> Result<(Epoch, Committer), String> {
        let (store, loaded) = self.directory.open_again().map_err(|error| {
            let reason = error.to_string();
            if error.is_unwritable() {
                self.only_read(&reason, || self.directory.load_unwritable());
            }
            reason
        })?;
        let store = (self.through)(store);
        if let Err(error) = probe(&*store) {
            let reason = error.to_string();
            self.only_read(&reason, || Ok(loaded.contents));
            return Err(reason);
        }
        begin(store, loaded, self.durability, &self.service.options.fleet, &self.stop)
            .map_err(|error| error.to_string())
    }
}
