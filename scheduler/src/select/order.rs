//! The order of hosts for successive instances.

use berth_placement::HostFree;
use berth_placement::kernel::{NOT_ASKED, NOTHING};

use super::chance::any_host;
use super::sorted::{By, sorted_by};
use super::{Chooser, SelectError, Sorted};
use crate::filters::{RequestState, Scene, Step, Survivors};
use crate::hosts::{HostRow, HostTable};
use crate::options::{Driver, Options};
use crate::policy::Policy;

/// Sorts hosts for one instance after the other.
pub(crate) trait HostOrder {
    /// Returns the hosts for the `index`-th instance, best first: all of them, or at least `most`.
    /// The candidates of hosts that can be claimed are added to `state`.
    ///
    /// # Errors
    /// As [`sorted_by`](super::sorted::sorted_by).
    fn sort(
        &mut self,
        scene: &Scene<'_>,
        index: usize,
        most: usize,
        state: &mut RequestState,
        chooser: &mut dyn Chooser,
    ) -> Result<Sorted, SelectError>;

    /// The number of hosts that each constraint removed, where `sort` did not count them.
    fn removed(&mut self, scene: &Scene<'_>) -> Vec<(Step, usize)>;

    /// Appends the next best hosts to the known ones.
    fn extend(&mut self, scene: &Scene<'_>, state: &mut RequestState, sorted: &mut Sorted);

    /// Applies the placement of an instance on a host.
    fn follow(&mut self, hosts: &HostTable, options: &Options, row: HostRow);
}

/// Scans every host that remained for the previous instance.
#[derive(Debug, Default)]
pub(crate) struct LookAtAll {
    left: Option<Vec<HostRow>>,
    ranks: Option<PolicyRanks>,
}

/// The input of a policy.
#[derive(Debug)]
struct PolicyRanks {
    policy: Policy,
    /// The free amounts of each host.
    free: Vec<HostFree>,
    /// The amounts that an instance takes from its host.
    need: HostFree,
}

impl LookAtAll {
    /// Sorts hosts with these free amounts by a policy.
    pub(crate) const fn by_policy(policy: Policy, free: Vec<HostFree>, need: HostFree) -> Self {
        Self { left: None, ranks: Some(PolicyRanks { policy, free, need }) }
    }
}

impl HostOrder for LookAtAll {
    fn sort(
        &mut self,
        scene: &Scene<'_>,
        index: usize,
        _: usize,
        state: &mut RequestState,
        chooser: &mut dyn Chooser,
    ) -> Result<Sorted, SelectError> {
        let survivors = match self.left.take() {
            Some(left) => Survivors::ordered(left),
            None if scene.request.is_rebuild() => Survivors::all(scene.hosts),
            None => Survivors::ordered(state.hosts()),
        };
        let ranks = self.ranks.as_ref();
        let free = |row: HostRow| ranks.map_or(NOTHING, |ranks| ranks.free[row.index()]);
        let by = ranks.map_or(By::Weighers, |ranks| By::Policy(ranks.policy, &free));
        let sorted = by_driver(by, scene, survivors, index, state, chooser)?;
        self.left = Some(sorted.rows.clone());
        Ok(sorted)
    }

    fn removed(&mut self, _: &Scene<'_>) -> Vec<(Step, usize)> {
        Vec::new() // `sort` counts them
    }

    fn extend(&mut self, _: &Scene<'_>, _: &mut RequestState, _: &mut Sorted) {}

    fn follow(&mut self, _: &HostTable, _: &Options, row: HostRow) {
        let Some(PolicyRanks { free, need, .. }) = &mut self.ranks else { return };
        for (free, need) in free[row.index()].iter_mut().zip(need).filter(|(_, need)| **need != NOT_ASKED) {
            *free -= *need;
        }
    }
}

/// Sorts these hosts as the configured driver does.
///
/// # Errors
/// As [`sorted_by`](super::sorted::sorted_by).
pub(crate) fn by_driver(
    by: By<'_>,
    scene: &Scene<'_>,
    hosts: Survivors,
    index: usize,
    state: &mut RequestState,
    chooser: &mut dyn Chooser,
) -> Result<Sorted, SelectError> {
    match scene.options.scheduler.driver {
        Driver::ChanceScheduler => any_host(scene, hosts, index, state, chooser),
        Driver::FilterScheduler | Driver::CachingScheduler => {
            sorted_by(by, scene, hosts, index, state, chooser)
        }
    }
}
