//! AggregateTypeAffinityFilter

use super::{Filter, Reason, RequestState, Scene, Scope, Verdict, pass_if};
use crate::hosts::HostRow;

/// Where a host's aggregates have the key `instance_type`, only the flavors it names may come.
pub(super) struct AggregateTypeAffinityFilter<'a> {
    scene: &'a Scene<'a>,
}

impl<'a> AggregateTypeAffinityFilter<'a> {
    pub(super) const fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene }
    }
}

impl Filter for AggregateTypeAffinityFilter<'_> {
    fn scope(&self) -> Scope {
        Scope::Class
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let admitted = self.scene.hosts.class(row).aggregates.parts("instance_type");
        let passes = admitted.is_none_or(|flavors| flavors.contains(&self.scene.request.flavor.name));
        pass_if(passes, || Reason::FlavorKeptOut {
            admitted: admitted.into_iter().flatten().cloned().collect::<Vec<_>>().join(", "),
        })
    }
}
