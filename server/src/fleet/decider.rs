//! The decider of a fleet: it translates the fleet's requests for the [`Decider`] of the crate
//! `scheduler`, and names the hosts of its decisions.

use std::sync::Arc;

use berth_fleet::{FleetError, NO_VALID_HOST};
use berth_placement::{Allocations, ConsumerId, GroupId, Index, Owner, Row, Timestamp, Topology};
use berth_scheduler::decider::{
    DecideError, Decider, DecisionRequest, HostSource, NoHost, Place, Placement, Rules,
};
use berth_scheduler::explain::Case;
use berth_scheduler::options::LivenessSource;
use berth_scheduler::select::{Claimant, SelectError};
use berth_scheduler::{Options, Preference, RequestSpec};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::ask::Ask;

/// A [`Placement`] with the names of its hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedPlacement {
    pub(crate) instance: Uuid,
    pub(crate) place: NamedPlace,
    /// Others that would do, best first.
    pub(crate) alternates: Vec<NamedPlace>,
}

/// A [`Place`] with the names of host and provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedPlace {
    pub(crate) host: String,
    /// The root provider.
    pub(crate) provider: Uuid,
    pub(crate) allocations: Allocations,
}

impl NamedPlace {
    /// The place with the names of host and provider; nothing if they are gone.
    fn named(
        topology: &Topology,
        provider: Row,
        allocations: Allocations,
        host_name: &impl Fn(Uuid) -> Option<String>,
    ) -> Option<Self> {
        let provider = topology.provider(provider)?.uuid;
        Some(Self { host: host_name(provider)?, provider, allocations })
    }
}

/// Decides for a fleet. One at a time: a decision takes microseconds.
pub(super) struct FleetDecider {
    index: Arc<Index>,
    decider: Decider,
    tie_breaker: ChaCha8Rng,
}

impl FleetDecider {
    pub(super) fn new(index: Arc<Index>, mut options: Options, seed: u64) -> Self {
        // The fleet judges the heartbeats of agents; a host's record contains the result.
        options.liveness = LivenessSource::Record;
        let rules = Rules::Nova { options: Box::new(options), preference: Preference::Weighers };
        let decider = Decider::new(Arc::clone(&index), rules);
        Self { index, decider, tie_breaker: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Chooses hosts, and claims what the instances need there for all of them, or for none. A dry
    /// run claims nothing.
    pub(super) fn decide(
        &mut self,
        hosts: &dyn HostSource,
        ask: &Ask,
        group: Option<GroupId>,
        now: Timestamp,
        is_dry_run: bool,
    ) -> Result<Vec<Placement>, FleetError> {
        let instances: Vec<ConsumerId> = ask.instances.iter().map(|&uuid| uuid.into()).collect();
        let request = DecisionRequest {
            spec: &ask.spec()?,
            instances: &instances,
            alternates: ask.alternates,
            claimant: &claimant(ask, group, now),
            is_dry_run,
        };
        let Self { decider, tie_breaker, .. } = self;
        decider.decide(hosts, &request, &mut |len: usize| tie_breaker.random_range(0..len)).map_err(refusal)
    }

    /// Applies the latest changes of the index and of the hosts.
    pub(super) fn follow(&mut self, hosts: &dyn HostSource, now: Timestamp) {
        if let Err(error) = self.decider.follow(hosts, now) {
            tracing::warn!(%error, "the hosts cannot be read");
        }
    }

    /// The request before the hosts as a decision would find them.
    pub(super) fn case(
        &mut self,
        hosts: &dyn HostSource,
        spec: &RequestSpec,
        group: Option<GroupId>,
        now: Timestamp,
    ) -> Result<Case, FleetError> {
        self.decider.case(hosts, spec, group, now).map_err(refusal)
    }

    /// Where the instances are that hold their resources already; nothing if one of them holds
    /// none.
    pub(super) fn held(&self, instances: &[Uuid]) -> Option<Vec<Placement>> {
        let topology = self.index.topology();
        let held = |&instance: &Uuid| {
            let instance: ConsumerId = instance.into();
            let allocations = self.index.allocations(instance)?;
            let provider = topology.host_of(&allocations)?;
            let provider = topology.provider(provider)?.root;
            let place = Place { provider, allocations };
            Some(Placement { instance, place, alternates: Vec::new() })
        };
        instances.iter().map(held).collect()
    }
}

/// The placements with the names of hosts. A host that has left since has none.
pub(super) fn placed(
    topology: &Topology,
    placements: Vec<Placement>,
    host_name: impl Fn(Uuid) -> Option<String>,
) -> Vec<NamedPlacement> {
    let place = |place: Place| NamedPlace::named(topology, place.provider, place.allocations, &host_name);
    let placed = placements.into_iter().filter_map(|placement| {
        Some(NamedPlacement {
            instance: placement.instance.into(),
            place: place(placement.place)?,
            alternates: placement.alternates.into_iter().filter_map(place).collect(),
        })
    });
    placed.collect()
}

fn claimant(ask: &Ask, group: Option<GroupId>, now: Timestamp) -> Claimant {
    let owner = Owner {
        project: ask.project.as_str().into(),
        user: ask.user.as_str().into(),
        consumer_type: Some("INSTANCE".into()),
    };
    let migration = ask.migration.map(ConsumerId::from);
    Claimant { owner: Arc::new(owner), group, keeps_allocations: false, migration, now }
}

/// Why there is no host, with how many hosts each constraint removed.
fn refusal(error: DecideError) -> FleetError {
    match error {
        DecideError::Hosts(error) => {
            FleetError::precondition("HOSTS", format!("the hosts cannot be read: {error}"))
        }
        DecideError::Query(error) => FleetError::exhausted(NO_VALID_HOST, error.to_string()),
        DecideError::Group(error) => FleetError::precondition("GROUP", error.to_string()),
        DecideError::NoHost(none) => no_host(&none),
        DecideError::Place(error) => FleetError::exhausted(NO_VALID_HOST, error.to_string()),
        DecideError::Unexplained => FleetError::precondition("RULES", error.to_string()),
    }
}

fn no_host(none: &NoHost) -> FleetError {
    let counts = none.counts();
    let words: Vec<_> = counts.iter().map(|(step, count)| format!("{step} removed {count}")).collect();
    let detail = if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) };
    let problem = match &none.error {
        SelectError::NoValidHost { placed, wanted } => {
            format!("{placed} of {wanted} instances could be placed on {} hosts", none.hosts)
        }
        other => other.to_string(),
    };
    let message = format!("No valid host was found: {problem}{detail}");
    FleetError::Exhausted { reason: NO_VALID_HOST, message, counts }
}
