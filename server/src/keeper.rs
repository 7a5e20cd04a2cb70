//! Keeping the state of a running service in a store, also through the store's failures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, thread};

use berth_placement::TopologyError;
use berth_store::{
    Committer, Contents, DataError, Durability, DurabilityOptions, EmbeddedStore, Queue, Store, probe,
};

use crate::fleet::{Fleet, FleetOptions, State as FleetState};
use crate::service::{Access, Epoch, Options, Service, now};
use crate::{DataDir, standard};

type Loaded = berth_store::Loaded<FleetState>;

/// How long to wait before a store that failed is opened again: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Keeps a service's state in a folder.
///
/// When the store fails (a full disk, most often), nothing that was not durable is told any more, and requests that wait for it
/// fail. The store is opened again, and the service goes on with what it has. While it can be read but not written,
/// reading requests are answered.
pub struct Keeper {
    stop: Arc<Stop>,
    thread: JoinHandle<()>,
}

/// A service that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder or what is in it.
    #[error(transparent)]
    Data(#[from] DataError),
    /// There is no room for the standard names.
    #[error(transparent)]
    Full(#[from] TopologyError),
    /// The system gives no thread.
    #[error("cannot start the thread that keeps the state: {0}")]
    Thread(io::Error),
}

/// The wish to stop.
#[derive(Default)]
struct Stop {
    state: Mutex<Stopping>,
    wished: Condvar,
}

#[derive(Default)]
struct Stopping {
    wished: bool,
    /// What the changes pass through now.
    queue: Option<Arc<Queue>>,
}

impl Keeper {
    /// A service over the state of the folder.
    ///
    /// # Errors
    /// A folder that holds no readable state, or cannot be written.
    pub fn start(
        folder: DataDir,
        options: Options,
        durability: DurabilityOptions,
    ) -> Result<(Arc<Service>, Self), StartError> {
        Self::start_through(folder, options, durability, |store| Box::new(store))
    }

    /// As [`Self::start`], with something between the service and each store that is opened: for tests that make it fail.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_through(
        folder: DataDir,
        options: Options,
        durability: DurabilityOptions,
        through: impl Fn(EmbeddedStore) -> Box<dyn Store> + Send + 'static,
    ) -> Result<(Arc<Service>, Self), StartError> {
        let stop = Arc::new(Stop::default());
        let (store, loaded) = folder.open_for_service()?;
        let (epoch, committer) = begin(through(store), loaded, durability, &options.fleet, &stop)?;
        let service = Arc::new(Service::at(epoch, options));
        let (through, keeps) = (Box::new(through), Arc::clone(&service));
        let keeping = Keeping { folder, through, service: keeps, durability, stop: Arc::clone(&stop) };
        let thread = thread::Builder::new().name("store".into()).spawn(move || keeping.run(committer));
        Ok((service, Self { stop, thread: thread.map_err(StartError::Thread)? }))
    }

    /// Commits what is left, and closes the store.
    pub fn stop(self) {
        self.stop.wish();
        if self.thread.join().is_err() {
            tracing::error!("the thread that keeps the state panicked");
        }
    }
}

impl Stop {
    fn wish(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.wished = true;
        if let Some(queue) = &state.queue {
            queue.close();
        }
        self.wished.notify_all();
    }

    /// This is what to close.
    fn watch(&self, queue: &Arc<Queue>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.wished {
            queue.close();
        }
        state.queue = Some(Arc::clone(queue));
    }

    /// Waits; returns whether it is time to stop.
    fn pause(&self, time: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.wished.wait_timeout_while(state, time, |state| !state.wished);
        waited.unwrap_or_else(PoisonError::into_inner).0.wished
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
    let index = Arc::new(index.recorded_by(Arc::<Queue>::clone(&queue)));
    standard::add_to(&mut index.write_at(now()))?;
    stop.watch(&queue);
    let committer = Committer::new(Arc::clone(&index), Arc::clone(&queue), store, encoder);
    let fleet = Fleet::new(Arc::clone(&index), Some(Arc::clone(&queue)), fleet, options.clone());
    if durability.stepwise {
        queue.go_stepwise();
    }
    let durability = Durability::new(queue, committer.progress(), durability.mode);
    Ok((Epoch { index, fleet: Arc::new(fleet), access: Access::Durable(durability) }, committer))
}

struct Keeping {
    folder: DataDir,
    through: Box<dyn Fn(EmbeddedStore) -> Box<dyn Store> + Send>,
    service: Arc<Service>,
    durability: DurabilityOptions,
    stop: Arc<Stop>,
}

impl Keeping {
    fn run(self, mut committer: Committer) {
        loop {
            let note = |records, took| self.service.metrics.note_commit(records, took);
            let ended = catch_unwind(AssertUnwindSafe(|| committer.run(self.durability.commit_delay, note)));
            let reason = match ended {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the store panicked".to_owned(),
            };
            tracing::error!(
                reason,
                "changes cannot be made durable; those that were not told are taken back"
            );
            self.service.metrics.note_store_failure();
            let (index, fleet) = {
                let epoch = self.service.epoch();
                (Arc::clone(&epoch.index), Arc::clone(&epoch.fleet))
            };
            self.service.enter(Epoch { index, fleet, access: Access::Down(reason.as_str().into()) });
            committer.fail(&reason);
            // A store that panicked may panic once more.
            drop(catch_unwind(AssertUnwindSafe(|| drop(committer))));
            match self.begin_again() {
                Some(next) => committer = next,
                None => return,
            }
        }
    }

    /// Opens the store again, as often as it takes; nothing when it is time to stop.
    fn begin_again(&self) -> Option<Committer> {
        let (mut pause, longest) = PAUSE;
        while !self.stop.pause(pause) {
            let outcome = catch_unwind(AssertUnwindSafe(|| self.try_again()));
            match outcome.unwrap_or_else(|_| Err("the store panicked".to_owned())) {
                Ok((epoch, committer)) => {
                    self.service.enter(epoch);
                    tracing::info!("the store works again");
                    return Some(committer);
                }
                Err(reason) => tracing::warn!(reason, "the store does not work yet"),
            }
            pause = (2 * pause).min(longest);
        }
        None
    }

    fn try_again(&self) -> Result<(Epoch, Committer), String> {
        let (store, loaded) = self.folder.open_again().map_err(|error| error.to_string())?;
        let store = (self.through)(store);
        if let Err(error) = probe(&*store) {
            let reason = error.to_string();
            let access = Access::ReadOnly(reason.as_str().into());
            let Contents { index, fleet } = loaded.contents;
            let index = Arc::new(index);
            let fleet = Fleet::new(Arc::clone(&index), None, fleet, self.service.options.fleet.clone());
            self.service.enter(Epoch { index, fleet: Arc::new(fleet), access });
            return Err(reason);
        }
        begin(store, loaded, self.durability, &self.service.options.fleet, &self.stop)
            .map_err(|error| error.to_string())
    }
}
