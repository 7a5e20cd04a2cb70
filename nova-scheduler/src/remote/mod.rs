//! Decisions with OpenStack's own Placement: candidates and claims over HTTP.
//!
//! ```text
//! request ─► query ─► GET /allocation_candidates ─► filters, weighers: a plan ─► POST /allocations ─► Selections
//!                ▲                                                                 │ another claim was faster
//!                └─────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Placement's answer is advisory. The instances of a request are planned together on what it says
//! is free, and claimed together; a claim that is refused is planned again on a new answer.
//! Requests wait for HTTP side by side; plans are made one after the other.

mod candidates;
mod client;
mod explain;
mod plan;
mod table;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_nova_database::NovaHosts;
use berth_nova_rpc::{RpcFailure, Selected};
use berth_placement::ConsumerId;
use berth_scheduler::decider::{DecideError, HostSource, NoHost};
use berth_scheduler::filters::{RequestState, Scene, Survivors, run};
use berth_scheduler::options::LivenessSource;
use berth_scheduler::placement_query::{PlacementQuery, PrefilterFacts, placement_query};
use berth_scheduler::select::{AllocationCandidate, SelectDestinations, SelectError};
use berth_scheduler::weighers::weigh;
use berth_scheduler::{Options, RequestSpec};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use crate::decisions::{Asked, Decided, Refused};
use crate::refusal;
use crate::selected::selected;
use candidates::RemoteCandidates;
use client::{Amounts, Held, PlacementClient, RemoteClaim, RemoteError, claim_body};
use plan::RemotePlan;
use table::RemoteTable;

pub use client::{FixedToken, InvalidAuthorities, RemotePlacementSettings, TokenSource};

/// How often a claim is tried because other claims were faster.
const ATTEMPTS: usize = 16;

/// Decides on hosts of Nova's databases and candidates of another Placement service.
pub(crate) struct RemoteDecisions {
    options: Options,
    client: Arc<PlacementClient>,
    state: Mutex<State>,
}

struct State {
    table: Option<RemoteTable>,
    tie_breaker: ChaCha8Rng,
}

/// The allocations to claim for each instance.
type Planned = Vec<(ConsumerId, AllocationCandidate)>;

/// A decision before its claim.
struct Plan {
    selected: Vec<Vec<Selected>>,
    planned: Planned,
}

/// A decision without a claim, and the hosts that could have been chosen with their weights.
pub(crate) struct DryDecision {
    pub(crate) decided: Decided,
    pub(crate) weights: BTreeMap<String, f64>,
}

impl RemoteDecisions {
    pub(crate) fn new(
        mut options: Options,
        settings: &RemotePlacementSettings,
        seed: u64,
    ) -> Result<Self, InvalidAuthorities> {
        // NovaHosts judges reports.
        options.liveness = LivenessSource::Record;
        let client = Arc::new(PlacementClient::new(settings)?);
        let state = Mutex::new(State { table: None, tie_breaker: ChaCha8Rng::seed_from_u64(seed) });
        Ok(Self { options, client, state })
    }

    /// Among how many of the best hosts chance decides.
    pub(crate) const fn subset(&self) -> usize {
        self.options.filter_scheduler.host_subset_size
    }

    /// Chooses hosts and claims what the instances need there.
    pub(crate) async fn decide(&self, hosts: &NovaHosts, asked: &Asked<'_>) -> Decided {
        let mut held = BTreeMap::new();
        for _ in 0..ATTEMPTS {
            let plan = self.plan(hosts, asked, &mut None).await?;
            if !asked.claims || asked.spec.is_rebuild() {
                return Ok(plan.selected);
            }
            match self.claim(asked, &plan.planned, &held).await {
                Ok(()) => return Ok(plan.selected),
                Err(RemoteError::Conflict(problem)) => {
                    tracing::debug!(problem, "the claim is planned again");
                    held = self.held(asked.instances).await.map_err(|error| not_claimed(asked, &error))?;
                }
                Err(error) => return Err(not_claimed(asked, &error)),
            }
        }
        let error = SelectError::Outrun { attempts: ATTEMPTS };
        Err(refused(&no_host(error, Vec::new(), 0), asked))
    }

    /// Decides without a claim.
    pub(crate) async fn look(&self, hosts: &NovaHosts, asked: &Asked<'_>) -> DryDecision {
        let mut weights = Some(BTreeMap::new());
        let decided = self.plan(hosts, asked, &mut weights).await;
        DryDecision { decided: decided.map(|plan| plan.selected), weights: weights.unwrap_or_default() }
    }

    /// The generations of the instances in Placement, as far as it knows them.
    pub(crate) async fn generations(&self, instances: &[Uuid]) -> Result<Vec<Option<u64>>, String> {
        let held = self.held(instances).await.map_err(|error| error.to_string())?;
        let generation = |uuid: &Uuid| held.get(uuid).and_then(|held| held.consumer_generation);
        Ok(instances.iter().map(generation).collect())
    }

    /// Asks Placement and decides on its answer.
    async fn plan(
        &self,
        hosts: &NovaHosts,
        asked: &Asked<'_>,
        weights: &mut Option<BTreeMap<String, f64>>,
    ) -> Result<Plan, Box<Refused>> {
        let (spec, query) = self.query(hosts, asked).map_err(|error| refused(&error, asked))?;
        let candidates = match query {
            None => RemoteCandidates::default(),
            Some(query) => self.candidates(query).await.unwrap_or_else(|error| {
                // As in Nova, there is no valid host then.
                tracing::error!(%error, "Placement does not answer");
                RemoteCandidates::default()
            }),
        };
        self.decide_on(hosts, asked, spec, &candidates, weights).map_err(|error| refused(&error, asked))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request after the pre-filters, and what Placement is asked; nothing for a rebuild.
    fn query(
        &self,
        source: &NovaHosts,
        asked: &Asked<'_>,
    ) -> Result<(RequestSpec, Option<PlacementQuery>), Box<DecideError>> {
        let mut spec = asked.spec.clone();
        let mut state = self.lock();
        let table = state.current(source, &self.options, now(asked))?;
        if spec.is_rebuild() {
            return Ok((spec, None));
        }
        let (aggregates, computes) = (&table.aggregates, &table.computes);
        let oldest_compute = source.oldest_compute();
        let known = PrefilterFacts { aggregates, computes, oldest_compute, networks: None };
        let query =
            placement_query(&mut spec, &self.options, &known).map_err(|error| Box::new(error.into()))?;
        Ok((spec, Some(query)))
    }

    /// The candidates of the request, and of its fallback.
    async fn candidates(&self, query: PlacementQuery) -> Result<RemoteCandidates, RemoteError> {
        let client = Arc::clone(&self.client);
        blocking(move || {
            let mut candidates = client.candidates(&query.request.to_query_string())?;
            if let Some(fallback) = query.fallback {
                candidates.extend(client.candidates(&fallback.to_query_string())?);
            }
            Ok(candidates)
        })
        .await
    }

    /// Filters, weighs and plans on these candidates.
    fn decide_on(
        &self,
        source: &dyn HostSource,
        asked: &Asked<'_>,
        mut spec: RequestSpec,
        candidates: &RemoteCandidates,
        weights: &mut Option<BTreeMap<String, f64>>,
    ) -> Result<Plan, Box<DecideError>> {
        let mut state = self.lock();
        state.current(source, &self.options, now(asked))?;
        let State { table, tie_breaker } = &mut *state;
        let table = &mut table.as_mut().expect("it is current").hosts;
        let chooser = &mut |len: usize| tie_breaker.random_range(0..len);
        let mut request_state = candidates.state(table);
        let count = table.len();
        if candidates.is_empty() && !spec.is_rebuild() {
            let error = SelectError::NoValidHost { placed: 0, wanted: asked.instances.len() };
            return Err(no_host(error, Vec::new(), count));
        }
        if let Some(weights) = weights {
            let scene = Scene { hosts: table, options: &self.options, request: &spec, now: now(asked) };
            *weights = weighed(&scene, request_state.clone());
        }
        let instances: Vec<ConsumerId> = asked.instances.iter().map(|&uuid| uuid.into()).collect();
        let what = SelectDestinations {
            options: &self.options,
            instances: &instances,
            return_alternates: asked.with_alternates,
            now: now(asked),
        };
        let mut plan = RemotePlan::new(candidates);
        let mut decision = what.decide(table, &mut spec, &mut request_state, &mut plan, chooser);
        decision.undo(table);
        match decision.result {
            Ok(selections) => {
                let selected = selected(&selections, table, None, asked.spec);
                Ok(Plan { selected, planned: plan.into_planned() })
            }
            Err(error) => Err(no_host(error, decision.removed.pop().unwrap_or_default(), count)),
        }
    }

    /// The allocations that the instances hold already.
    async fn held(&self, instances: &[Uuid]) -> Result<BTreeMap<Uuid, Held>, RemoteError> {
        let (client, instances) = (Arc::clone(&self.client), instances.to_vec());
        blocking(move || instances.into_iter().map(|uuid| Ok((uuid, client.held(uuid)?))).collect()).await
    }

    /// Claims all that is planned, or nothing. Instances that hold something keep it.
    async fn claim(
        &self,
        asked: &Asked<'_>,
        planned: &Planned,
        held: &BTreeMap<Uuid, Held>,
    ) -> Result<(), RemoteError> {
        let claim = |(consumer, candidate): &(ConsumerId, AllocationCandidate)| {
            let consumer = Uuid::from(*consumer);
            let (allocations, generation) = joined(held.get(&consumer), candidate);
            RemoteClaim { consumer, allocations, generation }
        };
        let claims: Vec<_> = planned.iter().map(claim).collect();
        let body = claim_body(&claims, (&asked.spec.project_id, &asked.spec.user_id));
        let client = Arc::clone(&self.client);
        blocking(move || client.claim(&body)).await
    }
}

/// The new allocations of an instance: those that it holds, and the candidate's amounts on other
/// providers. A provider that it holds something of, such as shared storage, keeps what it has, as
/// in Nova.
fn joined(held: Option<&Held>, candidate: &AllocationCandidate) -> (Amounts, Option<u64>) {
    let mut allocations = Amounts::new();
    for (provider, class, amount) in RemoteCandidates::amounts(candidate) {
        let amount = u64::try_from(amount).unwrap_or_default();
        allocations.entry(provider.to_owned()).or_default().insert(class.to_owned(), amount);
    }
    let Some(held) = held.filter(|held| !held.allocations.is_empty()) else { return (allocations, None) };
    for (provider, known) in &held.allocations {
        allocations.insert(provider.clone(), known.resources.clone());
    }
    (allocations, held.consumer_generation)
}

impl State {
    /// The hosts, up to date.
    fn current(
        &mut self,
        source: &dyn HostSource,
        options: &Options,
        now: i64,
    ) -> Result<&mut RemoteTable, Box<DecideError>> {
        let table = RemoteTable::follow(self.table.take(), source, options, now);
        let table = table.map_err(|error| Box::new(error.into()))?;
        Ok(self.table.insert(table))
    }
}

/// The hosts that pass the filters, with their weights. Where they cannot be weighed, the decision
/// says why.
fn weighed(scene: &Scene<'_>, mut state: RequestState) -> BTreeMap<String, f64> {
    let candidates = if scene.request.is_rebuild() {
        Survivors::all(scene.hosts)
    } else {
        Survivors::ordered(state.hosts())
    };
    let Ok(passed) = run(scene, candidates, 0, &mut state) else { return BTreeMap::new() };
    let weighed = weigh(scene, &passed.survivors.rows()).unwrap_or_default();
    let name = |row| {
        let (host, node) = (scene.hosts.host(row), scene.hosts.node(row));
        if host == node { host.to_owned() } else { format!("{host}/{node}") }
    };
    weighed.into_iter().map(|one| (name(one.row), one.weight)).collect()
}

fn now(asked: &Asked<'_>) -> i64 {
    i64::try_from(asked.now.0).unwrap_or(i64::MAX)
}

fn no_host(
    error: SelectError,
    removed: Vec<(berth_scheduler::filters::Step, usize)>,
    hosts: usize,
) -> Box<DecideError> {
    Box::new(DecideError::NoHost(Box::new(NoHost { error, removed, hosts })))
}

fn refused(error: &DecideError, asked: &Asked<'_>) -> Box<Refused> {
    Box::new(refusal::refused(error, asked))
}

fn not_claimed(asked: &Asked<'_>, error: &RemoteError) -> Box<Refused> {
    let instance = asked.instances.first().map(Uuid::to_string).unwrap_or_default();
    Box::new(Refused::failed(RpcFailure::allocation_update_failed(&instance, &error.to_string())))
}

/// Runs a call that blocks on a thread of its own.
async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(call).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
