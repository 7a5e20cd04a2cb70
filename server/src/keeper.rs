//! Keeping the state of a running service in a store, also through the store's failures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use berth_placement::TopologyError;
use berth_store::{
    Committer, DataError, Durability, DurabilityOptions, EmbeddedStore, EtcdStoreError, Loaded, Queue, Store,
    probe,
};

use crate::decision_log::Leaving;
use crate::fleet::{FleetHandle, FleetOptions};
use crate::home::{OpenedHome, StateHome};
use crate::request::{Access, Epoch};
use crate::service::{Service, ServiceOptions, now};
use crate::{Contents, DataDir, standard};

/// How long to wait at first before a store that failed is opened again.
const PAUSE: Duration = Duration::from_millis(100);

/// Keeps a service's state in a directory or in etcd.
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
    /// etcd or the state in it.
    #[error(transparent)]
    Etcd(#[from] EtcdStoreError),
    /// The index has no capacity for the standard names.
    #[error(transparent)]
    Full(#[from] TopologyError),
    /// The system refuses a thread.
    #[error("cannot start the thread that keeps the state: {0}")]
    Thread(io::Error),
}

impl StartError {
    /// Whether writing fails for now although the state may be readable.
    fn is_unwritable(&self) -> bool {
        match self {
            Self::Data(error) => error.is_unwritable(),
            Self::Etcd(error) => error.is_unwritable(),
            Self::Full(_) | Self::Thread(_) => false,
        }
    }
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
    /// A service over the state of a directory or of etcd.
    ///
    /// # Errors
    /// A state that cannot be read, was lost, or cannot be written for another reason than a lack
    /// of space.
    pub fn start(
        home: impl StateHome,
        options: ServiceOptions,
        durability: DurabilityOptions,
    ) -> Result<(Arc<Service>, Self), StartError> {
        let stop = Arc::new(Stop::default());
        let (epoch, committer) = match home.open_state() {
            Ok(opened) => {
                let (epoch, committer) = begin(opened, durability, &options.fleet, &stop)?;
                (epoch, Some(committer))
            }
            Err(error) if error.is_unwritable() => {
                // If the store cannot be read either, the first error is the cause.
                let Ok(contents) = home.read_state() else { return Err(error) };
                let reason = error.to_string();
                tracing::error!(reason, "the store cannot be written: only reading requests are answered");
                (read_only(contents, &reason, &options.fleet), None)
            }
            Err(error) => return Err(error),
        };
        let service = Arc::new(Service::at(epoch, options));
        let (home, keeps) = (Box::new(home), Arc::clone(&service));
        let keeping = Keeping { home, service: keeps, durability, stop: Arc::clone(&stop) };
        let thread = thread::Builder::new().name("store".into()).spawn(move || keeping.run(committer));
        Ok((service, Self { stop, thread: thread.map_err(StartError::Thread)? }))
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
        Self::start(Through { directory, through }, options, durability)
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

/// A directory with something between the service and its store.
struct Through<T> {
    directory: DataDir,
    through: T,
}

impl<T: Fn(EmbeddedStore) -> Box<dyn Store> + Send + 'static> StateHome for Through<T> {
    fn open_state(&self) -> Result<OpenedHome, StartError> {
        let (store, loaded) = self.directory.open_for_service()?;
        Ok(((self.through)(store), loaded))
    }

    fn open_state_again(&self) -> Result<OpenedHome, StartError> {
        let (store, loaded) = self.directory.open_again()?;
        Ok(((self.through)(store), loaded))
    }

    fn read_state(&self) -> Result<Contents, StartError> {
        Ok(self.directory.load_unwritable()?)
    }

    fn longest_pause(&self) -> Duration {
        self.directory.longest_pause()
    }
}

/// An index whose changes go to the store from now on.
fn begin(
    (store, Loaded { contents: Contents { index, fleet }, encoder, .. }): OpenedHome,
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
    let durability = durability.while_held(committer.tenure());
    Ok((Epoch { index, fleet: Arc::new(fleet), access: Access::Durable(durability) }, committer))
}

/// The state of a store that cannot be written.
fn read_only(Contents { index, fleet }: Contents, reason: &str, options: &FleetOptions) -> Epoch {
    let index = Arc::new(index);
    let fleet = FleetHandle::new(Arc::clone(&index), None, fleet, options.clone());
    Epoch { index, fleet: Arc::new(fleet), access: Access::ReadOnly(reason.into()) }
}

struct Keeping {
    home: Box<dyn StateHome>,
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
        let (mut pause, longest) = (PAUSE, self.home.longest_pause());
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
    fn only_read(&self, reason: &str, load: impl FnOnce() -> Result<Contents, StartError>) {
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
        let (store, loaded) = self.home.open_state_again().map_err(|error| {
            let reason = error.to_string();
            if error.is_unwritable() {
                self.only_read(&reason, || self.home.read_state());
            }
            reason
        })?;
        if let Err(error) = probe(&*store) {
            let reason = error.to_string();
            self.only_read(&reason, || Ok(loaded.contents));
            return Err(reason);
        }
        begin((store, loaded), self.durability, &self.service.options.fleet, &self.stop)
            .map_err(|error| error.to_string())
    }
}
