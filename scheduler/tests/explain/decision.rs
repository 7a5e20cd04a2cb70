//! The decision for one instance, as a service would make it.

use berth_placement::Row;
use berth_scheduler::nova::SelectDestinations;
use berth_scheduler::nova::explain::Case;
use berth_scheduler::nova::select::{AllocationCandidate, Chooser, Claims, SelectError};

struct First;

impl Chooser for First {
    fn choose(&mut self, _: usize) -> usize {
        0
    }

    fn shuffle(&mut self, _: &mut [usize]) {}
}

/// Grants every claim and remembers the last.
#[derive(Default)]
struct Granted(Option<Row>);

impl Claims for Granted {
    fn claim(&mut self, _: &str, row: Row, _: &AllocationCandidate) -> bool {
        self.0 = Some(row);
        true
    }

    fn release(&mut self, _: &str) {}
}

/// The host that is decided on. Errors of what comes after the claim do not count.
pub(crate) fn decide(case: &Case) -> Result<Option<Row>, SelectError> {
    let scene = case.question().scene;
    let (mut hosts, mut request) = (scene.hosts.clone(), scene.request.clone());
    let mut state = case.question().state.clone();
    let instances = [request.instance_uuid.clone()];
    let what = SelectDestinations {
        options: scene.options,
        instances: &instances,
        return_alternates: false,
        now: scene.now,
    };
    let mut claims = Granted::default();
    let decision = what.decide(&mut hosts, &mut request, &mut state, &mut claims, &mut First);
    match decision.result {
        Ok(selections) => Ok(selections.first().and_then(|one| one.first()).map(|one| one.row)),
        Err(SelectError::NoValidHost { .. }) => Ok(None),
        Err(SelectError::NoMapping(_)) => Ok(claims.0),
        Err(error) => Err(error),
    }
}
