//! The state that all requests share.

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use berth_placement::candidates::Strategy;
use berth_placement::{Index, Timestamp, TopologyError};
use berth_process::build::Build;
use tokio::sync::watch;

use crate::auth::Auth;
use crate::budget::Budget;
use crate::files::file_limit;
use crate::fleet::{FleetHandle, FleetOptions, FleetState, reconcile};
use crate::gauges::{self, Sums};
use crate::health::HealthCheck;
use crate::http::connections::Pool;
use crate::http::cors::Cors;
use crate::http::forwarded::TrustedProxies;
use crate::http::mount::Mount;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::policy::AccessPolicy;
use crate::request::{Access, Epoch, OutcomeUnknown};
use crate::request_log::RequestLog;
use crate::searches::Searches;
use crate::task::TaskState;
use crate::{pipeline, standard};

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// How callers are authenticated.
    pub auth: Auth,
    /// The access rules.
    pub policy: AccessPolicy,
    /// The origins whose pages may call the API (CORS).
    pub cors: Cors,
    /// The proxies that say from which addresses requests come.
    pub trusted_proxies: TrustedProxies,
    /// The limits of one request.
    pub limits: Limits,
    /// The selection and order of allocation candidates.
    pub candidates: CandidateOptions,
    /// The URL by which clients reach the service, for `Location`; `http://` and the request's
    /// `Host` if not given. If it has a path, requests are also served below that path, and links
    /// begin with it.
    pub public_url: Option<String>,
    /// The settings of the fleet.
    pub fleet: FleetOptions,
    /// The command that fences a host, and its arguments, in which `{host}`, `{uuid}` and
    /// `{address}` are replaced by those of the host. It succeeds only if nothing runs there any
    /// longer. Empty for none.
    pub fence_command: Vec<String>,
    /// What the program was built from.
    pub build: Build,
}

impl ServiceOptions {
    /// Default settings that trust the identity stated in each request; for development and tests.
    #[must_use]
    pub fn noauth2() -> Self {
        Self {
            auth: Auth::Noauth2,
            policy: AccessPolicy::legacy(),
            cors: Cors::default(),
            trusted_proxies: TrustedProxies::default(),
            limits: Limits::default(),
            candidates: CandidateOptions::default(),
            public_url: None,
            fleet: FleetOptions::default(),
            fence_command: Vec::new(),
            build: Build::UNKNOWN,
        }
    }
}

/// Another part of the process, which operators see beside the service.
pub trait Subsystem: Send + Sync {
    /// Appends its metrics in the OpenMetrics format, without the end of the document.
    fn append_metrics(&self, text: &mut String);

    /// Whether it works, and why not.
    fn health(&self) -> Vec<HealthCheck>;
}

/// The selection and order of allocation candidates. The names are those of Placement's
/// `[placement]` options.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CandidateOptions {
    /// The order in which trees are visited (`allocation_candidates_generation_strategy`).
    pub strategy: Strategy,
    /// The largest number of candidates to generate (`max_allocation_candidates`); `None` for no
    /// limit.
    pub max: Option<usize>,
    /// Whether each response has its own random order (`randomize_allocation_candidates`).
    pub randomize: bool,
}

/// A Placement service on an index.
pub struct Service {
    epoch: ArcSwap<Epoch>,
    /// Whether the service accepts requests.
    serving: watch::Sender<bool>,
    pub(crate) options: ServiceOptions,
    pub(crate) mount: Mount,
    pub(crate) searches: Searches,
    /// Requests that take longer than most, other than searches.
    pub(crate) lengthy: Searches,
    /// Bytes of request bodies being received and of responses that clients have not received
    /// completely.
    pub(crate) in_flight: Arc<Budget>,
    /// The connections of all listeners.
    pub(crate) connections: Arc<Pool>,
    pub(crate) metrics: Metrics,
    /// The access rules in force; at the start, those of the options.
    policy: ArcSwap<AccessPolicy>,
    request_log: OnceLock<Arc<dyn RequestLog>>,
    subsystem: OnceLock<Arc<dyn Subsystem>>,
    pub(crate) sums: Sums,
    /// The loop that reconciles the fleet, and the listener for gRPC.
    pub(crate) fleet_loop: TaskState,
    pub(crate) grpc_listener: TaskState,
}

impl Service {
    /// Creates a service on an empty index with the standard traits and resource classes.
    #[must_use]
    pub fn new(options: ServiceOptions) -> Self {
        Self::over(Index::with_holders(), options)
            .expect("an empty index has free numbers for the standard classes")
    }

    /// Creates a service on a restored index. Missing standard names are added.
    ///
    /// # Errors
    /// The index has too few free numbers for the standard classes.
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
        let policy = ArcSwap::from_pointee(options.policy.clone());
        let Limits { in_flight_bytes, in_flight_caller_bytes, .. } = options.limits;
        Self {
            epoch: ArcSwap::from_pointee(epoch),
            serving,
            options,
            mount,
            searches: Searches::for_candidates(),
            lengthy: Searches::for_lengthy(),
            in_flight: Budget::new(in_flight_bytes, in_flight_caller_bytes),
            connections: Pool::new(file_limit()),
            metrics,
            policy,
            request_log: OnceLock::new(),
            subsystem: OnceLock::new(),
            sums: Sums::default(),
            fleet_loop: TaskState::default(),
            grpc_listener: TaskState::default(),
        }
    }

    /// Sets the log of Nova's requests for operators. Only the first call has an effect.
    pub fn show_requests(&self, log: Arc<dyn RequestLog>) {
        let _ = self.request_log.set(log);
    }

    /// The access rules in force.
    pub(crate) fn policy(&self) -> Guard<Arc<AccessPolicy>> {
        self.policy.load()
    }

    /// Sets the access rules for requests that begin from now on.
    pub fn set_policy(&self, policy: AccessPolicy) {
        self.policy.store(Arc::new(policy));
    }

    /// Shows another part of the process in metrics and health. Only the first call has an effect.
    pub fn show_subsystem(&self, subsystem: Arc<dyn Subsystem>) {
        let _ = self.subsystem.set(subsystem);
    }

    pub(crate) fn subsystem(&self) -> Option<&Arc<dyn Subsystem>> {
        self.subsystem.get()
    }

    /// Brings instances to their desired state and expires hosts, until the future is dropped. It
    /// does not depend on a listener. If it panics, [`Self::health`] shows that.
    pub async fn run_fleet(self: Arc<Self>) {
        let _running = self.fleet_loop.start();
        reconcile::run(&self).await;
    }

    /// All metrics as text.
    pub(crate) fn metrics_text(&self) -> String {
        let mut text = String::new();
        gauges::append_to(&mut text, self);
        if let Some(subsystem) = self.subsystem() {
            subsystem.append_metrics(&mut text);
        }
        self.metrics.append_to(&mut text);
        text
    }

    /// Waits until no command holds the fleet.
    #[must_use]
    pub fn wait_for_fleet(&self) -> &Self {
        self.epoch().fleet.read(|_| self)
    }

    pub(crate) fn request_log(&self) -> Option<&Arc<dyn RequestLog>> {
        self.request_log.get()
    }

    /// The epoch for requests that begin now.
    pub(crate) fn epoch(&self) -> Arc<Epoch> {
        self.epoch.load_full()
    }

    /// Sets the epoch for requests that begin from now on.
    pub(crate) fn begin_epoch(&self, epoch: Epoch) {
        let serves = epoch.access.serves();
        self.epoch.store(Arc::new(epoch));
        self.serving.send_replace(serves);
    }

    /// Subscribes to whether the service accepts requests.
    pub(crate) fn serving(&self) -> watch::Receiver<bool> {
        self.serving.subscribe()
    }

    /// Responds to a request without a socket. Requires a multi-threaded Tokio runtime with timers.
    pub async fn answer(self: &Arc<Self>, request: Request) -> Response<Body> {
        pipeline::handle(self, request).await
    }

    /// The index for claims.
    ///
    /// # Errors
    /// The reason why claims would not be durable: the store has failed or cannot be written.
    pub fn writable_index(&self) -> Result<Arc<Index>, Arc<str>> {
        let epoch = self.epoch.load();
        match &epoch.access {
            Access::ReadOnly(why) | Access::Down(why) => Err(Arc::clone(why)),
            Access::Volatile | Access::Durable(_) => Ok(Arc::clone(&epoch.index)),
        }
    }

    /// Waits until all changes made to the index so far are durable.
    ///
    /// # Errors
    /// The reason why they will not become durable.
    pub async fn wait_durable(&self) -> Result<(), Arc<str>> {
        self.epoch().wait_durable().await.map_err(|OutcomeUnknown(why)| why)
    }

    /// The current index.
    #[must_use]
    pub fn index(&self) -> Arc<Index> {
        Arc::clone(&self.epoch.load().index)
    }
}

/// The current time, for responses and records.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "responses contain the times of changes")]
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}
