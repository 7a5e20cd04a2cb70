//! Who puts the hosts in order for one instance after the other.

use berth_placement::Row;

use super::chance::any_host;
use super::{Chooser, SelectError, Sorted, sorted_hosts};
use crate::nova::filters::{RequestState, Scene, Survivors};
use crate::nova::hosts::HostTable;
use crate::nova::options::{Driver, Options};

/// Puts hosts in order.
pub(crate) trait HostOrder {
    /// The hosts for the `index`-th instance, best first: all of them, or at least `most`. Those that can be claimed get
    /// their candidates in `state`.
    ///
    /// # Errors
    /// As [`sorted_hosts`].
    fn sort(
        &mut self,
        scene: &Scene<'_>,
        index: usize,
        most: usize,
        state: &mut RequestState,
        chooser: &mut dyn Chooser,
    ) -> Result<Sorted, SelectError>;

    /// Appends the next best hosts to those that are known.
    fn extend(&mut self, scene: &Scene<'_>, state: &mut RequestState, sorted: &mut Sorted);

    /// Takes in that an instance has come to the row.
    fn follow(&mut self, hosts: &HostTable, options: &Options, row: Row);
}

/// Looks at every host that was left for the instance before.
#[derive(Debug, Default)]
pub(super) struct LookAtAll {
    left: Option<Vec<Row>>,
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
        let sorted = by_driver(scene, survivors, index, state, chooser)?;
        self.left = Some(sorted.rows.clone());
        Ok(sorted)
    }

    fn extend(&mut self, _: &Scene<'_>, _: &mut RequestState, _: &mut Sorted) {}

    fn follow(&mut self, _: &HostTable, _: &Options, _: Row) {}
}

/// All of these hosts, as the configured driver orders them.
///
/// # Errors
/// As [`sorted_hosts`].
pub(crate) fn by_driver(
    scene: &Scene<'_>,
    hosts: Survivors,
    index: usize,
    state: &mut RequestState,
    chooser: &mut dyn Chooser,
) -> Result<Sorted, SelectError> {
    match scene.options.scheduler.driver {
        Driver::ChanceScheduler => any_host(scene, hosts, index, state, chooser),
        Driver::FilterScheduler | Driver::CachingScheduler => {
            sorted_hosts(scene, hosts, index, state, chooser)
        }
    }
}
