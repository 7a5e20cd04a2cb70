//! Measures decisions with Nova's filters and weighers. Between two decisions, unmeasured, one VM
//! arrives on the chosen host and one leaves another host.

use std::fmt;
use std::time::Instant;

use berth_scheduler::hosts::HostRow as Host;

use super::{Case, Effort, SuiteFailure, SuiteOptions};
use crate::nova::{NovaVariant, RemovedCounts, World, Wrong};
use crate::report::{ReportRow, RowUnit};
use crate::series::{Series, parameters};

pub(super) fn cases(
    options: &SuiteOptions,
    go_on: &dyn Fn(&str) -> Result<(), SuiteFailure>,
) -> Result<Vec<Box<dyn Case>>, SuiteFailure> {
    let mut cases: Vec<Box<dyn Case>> = Vec::new();
    for &hosts in &options.hosts {
        for &variant in &options.variants {
            go_on(&format!("building {hosts} hosts of variant {variant}"))?;
            cases.push(Box::new(Decisions::new(variant, hosts, options)));
        }
    }
    Ok(cases)
}

const NAME: &str = "nova/decision";
/// The number of unmeasured decisions at the start of a round.
const WARM_UP: u32 = 20;
/// One in this many decisions is compared with the exhaustive search. That displaces the caches, so
/// the next decision is not measured either.
const CHECKED: u32 = 100;

/// The search for the best host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    /// The ranked search, after applying the changes.
    Ranked,
    /// The ranked search, and the number of hosts that each filter removed.
    Counted,
    /// All filters and weighers over all hosts, with the number of hosts that each filter removed.
    Exhaustive,
}

impl fmt::Display for Search {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ranked => "ranked",
            Self::Counted => "counted",
            Self::Exhaustive => "exhaustive",
        })
    }
}

struct Decisions {
    label: String,
    effort: Effort,
    world: World,
    took: Vec<(Search, Series)>,
}

impl Decisions {
    fn new(variant: NovaVariant, hosts: u32, options: &SuiteOptions) -> Self {
        let world = World::new(variant, hosts, options.seed);
        let ranked = [Search::Ranked, Search::Counted].into_iter().filter(|_| world.is_ranked());
        let row = |search: Search| {
            let search_name = search.to_string();
            let parameters = parameters([
                ("variant", variant.name().into()),
                ("hosts", hosts.into()),
                ("search", search_name.as_str().into()),
            ]);
            (search, Series::new(NAME, &parameters, RowUnit::Ns))
        };
        let took = ranked.chain([Search::Exhaustive]).map(row).collect();
        Self { label: format!("nova, {hosts} hosts, {variant}"), effort: options.effort, world, took }
    }
}

impl Case for Decisions {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn round(&mut self) -> Result<(), SuiteFailure> {
        for (search, series) in &mut self.took {
            measure(&mut self.world, *search, self.effort, series)
                .map_err(|wrong| SuiteFailure::Wrong { name: NAME, found: wrong.to_string() })?;
            series.end_round();
        }
        self.world.clear();
        self.world.follow();
        Ok(())
    }

    fn finish(self: Box<Self>) -> Vec<ReportRow> {
        self.took.into_iter().filter_map(|(_, series)| series.finish()).collect()
    }
}

fn measure(world: &mut World, search: Search, effort: Effort, series: &mut Series) -> Result<(), Wrong> {
    let until = Instant::now() + effort.time;
    for sample in 0..effort.samples + WARM_UP {
        let Decided { chosen, removed, started, ended } = decide(world, search)?;
        let follows_check = search != Search::Exhaustive && sample % CHECKED == 1;
        if sample >= WARM_UP && !follows_check {
            series.took(ended - started);
        }
        if search != Search::Exhaustive && sample.is_multiple_of(CHECKED) {
            world.check(chosen)?;
            removed.iter().try_for_each(|removed| world.check_removed(removed))?;
            series.count("checked", 1);
        }
        match chosen {
            Some(host) => world.change(host),
            None => world.clear(),
        }
        if ended >= until && sample >= WARM_UP {
            break;
        }
    }
    Ok(())
}

/// A decision with its start and end.
struct Decided {
    chosen: Option<Host>,
    /// The number of hosts that each filter removed, if counted.
    removed: Option<RemovedCounts>,
    started: Instant,
    ended: Instant,
}

fn decide(world: &mut World, search: Search) -> Result<Decided, Wrong> {
    let mut candidates = world.candidates();
    if search == Search::Exhaustive {
        world.follow();
    }
    let started = Instant::now();
    let (chosen, removed) = match search {
        Search::Ranked => (world.decide_ranked()?, None),
        Search::Counted => (world.decide_ranked()?, Some(world.count_removed()?)),
        Search::Exhaustive => {
            let (weighed, outcome) = world.decide_exhaustively(&mut candidates)?;
            (weighed.first().map(|host| host.row), Some(outcome.removed))
        }
    };
    Ok(Decided { chosen, removed, started, ended: Instant::now() })
}
