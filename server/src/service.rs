//! What all requests share.

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use berth_placement::candidates::Strategy;
use berth_placement::{Index, Timestamp, TopologyError};
use tokio::sync::watch;

use crate::auth::Auth;
use crate::budget::Budget;
use crate::fleet::{FleetHandle, FleetOptions, FleetState};
use crate::http::cors::Cors;
use crate::http::mount::Mount;
use crate::limits::Limits;
use crate::metrics::{Metrics, MetricsSource};
use crate::policy::AccessPolicy;
use crate::request::{Access, Epoch, OutcomeUnknown};
use crate::request_log::RequestLog;
use crate::searches::Searches;
use crate::{pipeline, standard};

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// How it identifies the caller.
    pub auth: Auth,
    /// Who may do what.
    pub policy: AccessPolicy,
    /// Which other origins' pages may call.
    pub cors: Cors,
    /// How much one request may ask for.
    pub limits: Limits,
    /// Which allocation candidates are found, and in which order.
    pub candidates: CandidateOptions,
    /// The URL by which clients reach the service, for `Location`; `http://` and the request's `Host` if not given. Where
    /// it has a path, requests are served below that path, too, and links begin with it.
    pub public_url: Option<String>,
    /// How the fleet is looked after.
    pub fleet: FleetOptions,
}

impl ServiceOptions {
    /// Trusts the identity in each request, with defaults for everything else; for development and
    /// tests.
    #[must_use]
    pub fn noauth2() -> Self {
        Self {
            auth: Auth::Noauth2,
            policy: AccessPolicy::legacy(),
            cors: Cors::default(),
            limits: Limits::default(),
            candidates: CandidateOptions::default(),
            public_url: None,
            fleet: FleetOptions::default(),
        }
    }
}

/// Which of the allocation candidates of a query are found, and in which order. The names are those of Placement's
/// `[placement]` options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CandidateOptions {
    /// In which order trees are visited (`allocation_candidates_generation_strategy`).
    pub strategy: Strategy,
    /// How many are made at most (`max_allocation_candidates`); `None` for all of them.
    pub max: Option<usize>,
    /// Whether each answer has an order of its own (`randomize_allocation_candidates`).
    pub randomize: bool,
}

/// The Placement service over an index.
pub struct Service {
    epoch: ArcSwap<Epoch>,
    /// Whether requests are served at all.
    serving: watch::Sender<bool>,
    pub(crate) options: ServiceOptions,
    pub(crate) mount: Mount,
    pub(crate) searches: Searches,
    /// Bytes of bodies that arrive, and of answers that are not read yet.
    pub(crate) in_flight: Arc<Budget>,
    pub(crate) metrics: Metrics,
    request_log: OnceLock<Arc<dyn RequestLog>>,
    other_metrics: OnceLock<Arc<dyn MetricsSource>>,
}

impl Service {
    /// A service over an empty index that knows the standard traits and resource classes.
    #[must_use]
    pub fn new(options: ServiceOptions) -> Self {
        Self::over(Index::with_holders(), options)
            .expect("an empty index has free numbers for the standard classes")
    }

    /// A service over an index that was restored; standard names that it does not know yet are added.
    ///
    /// # Errors
    /// Fails if the index has too few free numbers for the standard classes.
    pub fn over(index: Index, options: ServiceOptions) -> Result<Self, TopologyError> {
        standard::add_to(&mut index.write_at(now()))?;
        let index = Arc::new(index);
        let fleet = FleetHandle::new(Arc::clone(&index), None, FleetState::default(), options.fleet.clone());
        Ok(Self::at(Epoch { index, fleet: Arc::new(fleet), access: Access::Volatile }, options))
    }

    pub(crate) fn at(epoch: Epoch, options: ServiceOptions) -> Self {
        let mut metrics = Metrics::default();
        if let Auth::Keystone(keystone) = &options.auth {
            metrics.watch_keystone(&keystone.counters);
        }
        let serving = watch::Sender::new(epoch.access.serves());
        let mount = Mount::of(options.public_url.as_deref());
        let Limits { in_flight_bytes, in_flight_caller_bytes, .. } = options.limits;
        Self {
            epoch: ArcSwap::from_pointee(epoch),
            serving,
            options,
            mount,
            searches: Searches::for_this_machine(),
            in_flight: Budget::new(in_flight_bytes, in_flight_caller_bytes),
            metrics,
            request_log: OnceLock::new(),
            other_metrics: OnceLock::new(),
        }
    }

    /// Shows requests of Nova to operators. Only the first log counts.
    pub fn show_requests(&self, log: Arc<dyn RequestLog>) {
        let _ = self.request_log.set(log);
    }

    /// Shows metrics of another part of the process besides those of the service. Only the first source counts.
    pub fn show_metrics(&self, source: Arc<dyn MetricsSource>) {
        let _ = self.other_metrics.set(source);
    }

    /// All metrics as text.
    pub(crate) fn metrics_text(&self) -> String {
        let other = self.other_metrics.get().map(|source| &**source);
        self.metrics.text(&self.index(), self.in_flight.in_use(), other)
    }

    pub(crate) fn request_log(&self) -> Option<&Arc<dyn RequestLog>> {
        self.request_log.get()
    }

    /// What requests that begin now work with.
    pub(crate) fn epoch(&self) -> Arc<Epoch> {
        self.epoch.load_full()
    }

    /// Requests that begin from now on work with this.
    pub(crate) fn enter(&self, epoch: Epoch) {
        let serves = epoch.access.serves();
        self.epoch.store(Arc::new(epoch));
        self.serving.send_replace(serves);
    }

    /// Follows whether requests are served at all.
    pub(crate) fn serving(&self) -> watch::Receiver<bool> {
        self.serving.subscribe()
    }

    /// Answers a request without a socket. To be called on a Tokio runtime of several threads that has timers.
    pub async fn answer(self: &Arc<Self>, request: Request) -> Response<Body> {
        pipeline::answer(self, request).await
    }

    /// The index to make claims on.
    ///
    /// # Errors
    /// Why claims would not be durable: the store has failed or cannot be written.
    pub fn writable_index(&self) -> Result<Arc<Index>, Arc<str>> {
        let epoch = self.epoch.load();
        match &epoch.access {
            Access::ReadOnly(why) | Access::Down(why) => Err(Arc::clone(why)),
            Access::Volatile | Access::Durable(_) => Ok(Arc::clone(&epoch.index)),
        }
    }

    /// Waits until what was changed on the index by now is durable.
    ///
    /// # Errors
    /// Why it never will be.
    pub async fn settled(&self) -> Result<(), Arc<str>> {
        self.epoch().settled().await.map_err(|OutcomeUnknown(why)| why)
    }

    /// The index that it serves now.
    #[must_use]
    pub fn index(&self) -> Arc<Index> {
        Arc::clone(&self.epoch.load().index)
    }
}

/// The current time, for responses and records.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the edge: answers say when things were changed")]
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}
