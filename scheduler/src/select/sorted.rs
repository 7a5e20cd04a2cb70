//! The hosts for one instance, best first.

use berth_placement::HostFree;

use super::{Chooser, SelectError};
use crate::filters::{RequestState, Scene, Step, Survivors, run};
use crate::hosts::HostRow;
use crate::policy::{Policy, Rank};
use crate::weighers::{Weighed, weigh};

/// The hosts for one instance, best first, and the number of hosts that each constraint removed.
#[derive(Debug, Clone)]
pub struct Sorted {
    /// The hosts; the first is the chosen one.
    pub rows: Vec<HostRow>,
    /// Hosts removed by each constraint, in order; none before they are counted.
    pub removed: Option<Vec<(Step, usize)>>,
    /// Whether `rows` contains all hosts that pass; if not, it contains the best of them.
    pub complete: bool,
}

/// The criterion by which hosts that pass the filters are sorted.
#[derive(Clone, Copy)]
pub(crate) enum By<'a> {
    /// Nova's weighers.
    Weighers,
    /// A policy, and the free amounts of each host.
    Policy(Policy, &'a dyn Fn(HostRow) -> HostFree),
}

/// Filters the hosts for the `index`-th instance and sorts them.
///
/// One of the best `host_subset_size` hosts is drawn as the first; the others keep their order.
/// With `shuffle_best_same_weighed_hosts`, the hosts with the best weight are shuffled before.
/// Hosts that a policy ranks are never shuffled, because no two have the same rank.
///
/// # Errors
/// [`SelectError::Filter`] or [`SelectError::Weigh`].
pub(crate) fn sorted_by(
    by: By<'_>,
    scene: &Scene<'_>,
    hosts: Survivors,
    index: usize,
    state: &mut RequestState,
    chooser: &mut dyn Chooser,
) -> Result<Sorted, SelectError> {
    let outcome = run(scene, hosts, index, state)?;
    let survivors = outcome.survivors.rows();
    let mut rows: Vec<HostRow> = Vec::new();
    if !survivors.is_empty() {
        let options = &scene.options.filter_scheduler;
        match by {
            By::Weighers => {
                let weighed = weigh(scene, &survivors)?;
                rows = weighed.iter().map(|host| host.row).collect();
                if options.shuffle_best_same_weighed_hosts {
                    shuffle_best(&weighed, &mut rows, chooser);
                }
            }
            By::Policy(policy, free) => {
                let mut ranks: Vec<Rank> =
                    survivors.iter().map(|&row| policy.rank(free(row), row.slot())).collect();
                ranks.sort_unstable();
                rows = ranks.into_iter().map(|rank| HostRow::at(rank.row())).collect();
            }
        }
        draw(&mut rows, options.host_subset_size, chooser);
    }
    Ok(Sorted { rows, removed: Some(outcome.removed), complete: true })
}

/// Draws one of the first `subset` rows and moves it to the front.
pub(crate) fn draw(rows: &mut [HostRow], subset: usize, chooser: &mut dyn Chooser) {
    let chosen = chooser.choose(rows.len().min(subset.max(1)));
    rows[..=chosen].rotate_right(1);
}

fn shuffle_best(weighed: &[Weighed], rows: &mut [HostRow], chooser: &mut dyn Chooser) {
    let best: Vec<usize> = (0..weighed.len()).filter(|&at| weighed[at].weight == weighed[0].weight).collect();
    let mut positions: Vec<usize> = (0..best.len()).collect();
    chooser.shuffle(&mut positions);
    positions.iter().enumerate().for_each(|(at, &from)| rows[at] = weighed[best[from]].row);
}
