//! The decision for one instance, as a service would make it: it asks Placement, then decides among
//! the hosts that Placement names.

use berth_placement::ConsumerId;
use berth_scheduler::SelectDestinations;
use berth_scheduler::explain::{Case, CaseRecord};
use berth_scheduler::filters::{RequestState, Scene, Step};
use berth_scheduler::hosts::HostRow;
use berth_scheduler::select::{AllocationCandidate, Chooser, Claims, SelectError};

use super::placement::{answered, describes_placement};

struct First;

impl Chooser for First {
    fn choose(&mut self, _: usize) -> usize {
        0
    }

    fn shuffle(&mut self, _: &mut [usize]) {}
}

/// Grants every claim and remembers the last.
#[derive(Default)]
struct Granted(Option<HostRow>);

impl Claims for Granted {
    fn claim(&mut self, _: ConsumerId, row: HostRow, _: &AllocationCandidate) -> bool {
        self.0 = Some(row);
        true
    }

    fn release(&mut self, _: ConsumerId) {}
}

/// Hosts that each constraint removed.
type Counts = Vec<(Step, usize)>;

/// A decision.
#[derive(Debug)]
pub(crate) struct Decided {
    /// Host and node.
    pub(crate) host: Option<(String, String)>,
    /// How many hosts each constraint removed, as far as it went.
    pub(crate) removed: Counts,
}

/// The decision on the first instance. Errors of what comes after the claim do not count.
pub(crate) fn decide(record: &CaseRecord) -> Result<Decided, String> {
    let named = if describes_placement(record) { answered(record) } else { Ok(record.clone()) };
    let case = Case::load(named.map_err(|error| error.to_string())?, false).expect("a case");
    let question = case.question();
    let (row, removed) = decide_among(&question.scene, question.state.clone())?;
    let hosts = question.scene.hosts;
    let host = row.map(|row| (hosts.host(row).to_owned(), hosts.node(row).to_owned()));
    Ok(Decided { host, removed })
}

/// The decision among the hosts with candidates in `state`.
pub(crate) fn decide_among(
    scene: &Scene<'_>,
    mut state: RequestState,
) -> Result<(Option<HostRow>, Counts), String> {
    let (mut hosts, mut request) = (scene.hosts.clone(), scene.request.clone());
    let instances = [request.instance_uuid.into()];
    let what = SelectDestinations {
        options: scene.options,
        instances: &instances,
        return_alternates: false,
        now: scene.now,
    };
    let mut claims = Granted::default();
    let decision = what.decide(&mut hosts, &mut request, &mut state, &mut claims, &mut First);
    let row = match decision.result {
        Ok(selections) => selections.first().and_then(|one| one.first()).map(|one| one.row),
        Err(SelectError::NoValidHost { .. }) => None,
        Err(SelectError::NoMapping(_)) => claims.0,
        Err(error) => return Err(error.to_string()),
    };
    Ok((row, decision.removed.into_iter().next().unwrap_or_default()))
}
