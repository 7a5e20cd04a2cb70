//! The scheduler over a fleet: it follows what hosts and aggregates become, decides, and claims.

mod known;
mod prepared;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use berth_placement::{Consumer, GroupId, Index, Owner, Timestamp};
use berth_scheduler::nova::filter_scheduler::Wanted;
use berth_scheduler::nova::hosts::HostRecord;
use berth_scheduler::nova::placement_query::Known;
use berth_scheduler::nova::select::{Chooser, Claimant, Decision, SelectError, Selection};
use berth_scheduler::nova::{Aggregate, HostTable, Options};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use self::known::KnownFleet;
use super::ask::{Ask, GroupView};
use super::error::{FleetError, NO_VALID_HOST};

/// Compute services of this release and later, as Nova counts them: every pre-filter may be used.
const OLDEST_COMPUTE: u32 = 68;

/// Where an instance goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) instance: Uuid,
    pub(crate) place: Place,
    /// Others that would do, best first.
    pub(crate) alternates: Vec<Place>,
}

/// A host, and what an instance takes there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) host: String,
    /// UUID of the root provider.
    pub(crate) provider: String,
    /// Amounts by class, by UUID of the provider.
    pub(crate) allocations: BTreeMap<String, BTreeMap<String, u64>>,
}

/// What changed in a fleet since the decider looked last.
#[derive(Debug, Default)]
pub(super) struct News {
    /// There are other hosts, or other aggregates.
    pub(super) layout: bool,
    /// Hosts whose status, instances or facts are others.
    pub(super) hosts: BTreeSet<String>,
}

/// What the decider asks a fleet about itself.
pub(super) trait FleetView {
    /// What is new since the last call.
    fn news(&self) -> News;
    /// All hosts.
    fn all(&self) -> (Vec<HostRecord>, Vec<Aggregate>);
    /// These hosts.
    fn some(&self, hosts: &BTreeSet<String>) -> Vec<HostRecord>;
}

/// Decides for a fleet. One at a time: a decision takes microseconds.
pub(super) struct Decider {
    index: Arc<Index>,
    options: Options,
    known: Option<KnownFleet>,
    /// What is new since then: also what could not be taken in.
    news: News,
    dice: Dice,
}

impl Decider {
    pub(super) fn new(index: Arc<Index>, mut options: Options, seed: u64) -> Self {
        // Whether a host is up is judged by its agent's heartbeats, and told with its record.
        options.general.service_down_time = i64::MAX / 4;
        Self {
            index,
            options,
            known: None,
            news: News::default(),
            dice: Dice(ChaCha8Rng::seed_from_u64(seed)),
        }
    }

    /// Picks hosts, and claims the room on them for all instances, or for none. With `dry`, nothing is claimed.
    pub(super) fn decide(
        &mut self,
        fleet: &dyn FleetView,
        ask: &Ask,
        group: Option<&GroupView>,
        now: Timestamp,
        dry: bool,
    ) -> Result<Vec<Placed>, FleetError> {
        let micros = i64::try_from(now.0).unwrap_or(i64::MAX);
        self.follow(fleet, micros)?;
        let Self { known, dice, .. } = self;
        let known = known.as_mut().expect("it was loaded");
        let KnownFleet { scheduler, aggregates, computes, prepared, .. } = known;
        let mut prepare = || {
            let facts = Known { aggregates, computes, oldest_compute: OLDEST_COMPUTE, networks: None };
            let prepared = scheduler.prepare(ask.spec(group)?, &facts, micros);
            prepared.map_err(|error| FleetError::exhausted(NO_VALID_HOST, error.to_string()))
        };
        let mut for_once;
        // Builds that are tried again, and shelved instances, rule out hosts of their own.
        let is_singular = ask.zone().is_empty() && !ask.ignore_hosts.is_empty();
        let request = if group.is_some() || is_singular {
            for_once = prepare()?;
            &mut for_once
        } else {
            prepared.request(ask, prepare)?
        };
        let instances: Vec<String> = ask.instances.iter().map(Uuid::to_string).collect();
        let wanted =
            Wanted { instances: &instances, alternates: ask.alternates > 0, each_alone: true, now: micros };
        let claimant = claimant(ask, group, now);
        let mut decision = if dry {
            scheduler.select_dry(request, wanted, &claimant, dice)
        } else {
            scheduler.select_as_one(request, wanted, &claimant, dice).decision
        };
        // Hosts are what the index and the instances on them say; the claim is in the journal.
        scheduler.undo(&mut decision);
        let hosts = scheduler.hosts();
        match &decision.result {
            Ok(selections) => Ok(ask
                .instances
                .iter()
                .zip(selections)
                .map(|(&instance, selections)| placed(hosts, instance, selections, ask.alternates))
                .collect()),
            Err(error) => Err(refusal(error, &decision, hosts.len())),
        }
    }

    /// Takes in what is new. What cannot be taken in by itself is loaded with everything else.
    fn follow(&mut self, fleet: &dyn FleetView, now: i64) -> Result<(), FleetError> {
        let News { layout, hosts } = fleet.news();
        self.news.layout |= layout;
        self.news.hosts.extend(hosts);
        let is_known = match &mut self.known {
            Some(known) if !self.news.layout => {
                known.read_journal(&self.index, &mut self.news.hosts);
                self.news.hosts.is_empty() || known.update(fleet, &self.news.hosts, now)
            }
            _ => false,
        };
        if !is_known {
            let loaded = KnownFleet::load(&self.index, &self.options, fleet, now);
            self.known = Some(loaded.map_err(|error| {
                FleetError::precondition("HOSTS", format!("the hosts cannot be read: {error}"))
            })?);
        }
        self.news = News::default();
        Ok(())
    }

    /// Where the instances are that hold their room already; nothing if one of them holds none.
    pub(super) fn held(
        &self,
        instances: &[Uuid],
        host_name: impl Fn(Uuid) -> Option<String>,
    ) -> Option<Vec<Placed>> {
        let topology = self.index.topology();
        let held = |&instance: &Uuid| {
            let Consumer { allocations, .. } = self.index.consumer(instance.into())?;
            let root = topology.provider(topology.host_of(&allocations)?)?;
            let mut by_provider: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
            for allocation in &allocations {
                let provider = topology.provider(allocation.row)?.uuid.to_string();
                let class = topology.classes().name(allocation.class.0.into())?.to_string();
                by_provider.entry(provider).or_default().insert(class, allocation.amount.into());
            }
            let place = Place {
                host: host_name(root.uuid)?,
                provider: root.uuid.to_string(),
                allocations: by_provider,
            };
            Some(Placed { instance, place, alternates: Vec::new() })
        };
        instances.iter().map(held).collect()
    }
}

fn claimant(ask: &Ask, group: Option<&GroupView>, now: Timestamp) -> Claimant {
    let owner = Owner {
        project: ask.project.as_str().into(),
        user: ask.user.as_str().into(),
        consumer_type: Some("INSTANCE".into()),
    };
    Claimant { owner: Arc::new(owner), group: group.map(|group| GroupId::from(group.uuid)), now }
}

fn placed(hosts: &HostTable, instance: Uuid, selections: &[Selection], alternates: usize) -> Placed {
    let mut places = selections.iter().map(|selection| place(hosts, selection));
    let first = places.next().unwrap_or_default();
    Placed { instance, place: first, alternates: places.take(alternates).collect() }
}

fn place(hosts: &HostTable, selection: &Selection) -> Place {
    let request = selection.allocation_request.clone().unwrap_or_default();
    let allocations = request.allocations.into_iter().map(|(uuid, of)| (uuid, of.resources)).collect();
    Place {
        host: hosts.host(selection.row).to_owned(),
        provider: hosts.uuid(selection.row).unwrap_or_default().to_owned(),
        allocations,
    }
}

/// Why there is no host, with what removed how many.
fn refusal(error: &SelectError, decision: &Decision, hosts: usize) -> FleetError {
    let removed = decision.removed.last().into_iter().flatten().filter(|(_, count)| *count > 0);
    let removed: Vec<String> = removed.map(|(step, count)| format!("{step} removed {count}")).collect();
    let detail = if removed.is_empty() { String::new() } else { format!(" ({})", removed.join(", ")) };
    match error {
        SelectError::NoValidHost { placed, wanted } => FleetError::exhausted(
            NO_VALID_HOST,
            format!(
                "No valid host was found: {placed} of {wanted} instances could be placed on {hosts} hosts{detail}"
            ),
        ),
        other => FleetError::exhausted(NO_VALID_HOST, format!("No valid host was found: {other}{detail}")),
    }
}

/// Lots, drawn from a seeded stream.
struct Dice(ChaCha8Rng);

impl Chooser for Dice {
    fn choose(&mut self, len: usize) -> usize {
        self.0.random_range(0..len)
    }

    fn shuffle(&mut self, positions: &mut [usize]) {
        positions.shuffle(&mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use serde_json::json;

    use super::*;

    /// A fleet of hosts without anything.
    #[derive(Default)]
    struct Hosts {
        /// Names and UUIDs.
        there: RefCell<Vec<(&'static str, String)>>,
        news: RefCell<News>,
    }

    fn host(name: &'static str, number: u128) -> (&'static str, String) {
        (name, Uuid::from_u128(number).to_string())
    }

    impl Hosts {
        fn record((name, uuid): &(&'static str, String)) -> HostRecord {
            serde_json::from_value(json!({"host": name, "node": name, "uuid": uuid})).unwrap()
        }
    }

    impl FleetView for Hosts {
        fn news(&self) -> News {
            self.news.take()
        }

        fn all(&self) -> (Vec<HostRecord>, Vec<Aggregate>) {
            (self.there.borrow().iter().map(Self::record).collect(), Vec::new())
        }

        fn some(&self, hosts: &BTreeSet<String>) -> Vec<HostRecord> {
            self.there.borrow().iter().filter(|(name, _)| hosts.contains(*name)).map(Self::record).collect()
        }
    }

    fn decider(fleet: &Hosts) -> Decider {
        fleet.there.borrow_mut().push(host("h1", 1));
        let mut decider = Decider::new(Arc::new(Index::with_holders()), Options::default(), 1);
        decider.follow(fleet, 0).unwrap();
        decider
    }

    fn known(decider: &Decider) -> usize {
        decider.known.as_ref().map_or(0, |known| known.scheduler.hosts().len())
    }

    #[test]
    fn what_could_not_be_taken_in_is_not_forgotten() {
        let fleet = Hosts::default();
        let mut decider = decider(&fleet);
        fleet.news.borrow_mut().layout = true;
        fleet.there.borrow_mut().push(("h2", "no UUID".to_owned()));
        decider.follow(&fleet, 0).unwrap_err();
        assert_eq!(known(&decider), 1);
        fleet.there.borrow_mut()[1] = host("h2", 2);
        decider.follow(&fleet, 0).unwrap();
        assert_eq!(known(&decider), 2);
    }

    #[test]
    fn a_host_that_is_not_known_is_found_by_reading_all_of_them() {
        let fleet = Hosts::default();
        let mut decider = decider(&fleet);
        fleet.news.borrow_mut().hosts.insert("h2".to_owned());
        fleet.there.borrow_mut().push(host("h2", 2));
        decider.follow(&fleet, 0).unwrap();
        assert_eq!(known(&decider), 2);
    }
}
