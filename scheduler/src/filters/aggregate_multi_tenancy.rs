//! AggregateMultiTenancyIsolation

use super::{Filter, Reason, RequestState, Scene, Scope, Verdict, pass_if};
use crate::hosts::HostRow;

/// Where a host's aggregates have keys that begin with `filter_tenant_id`, only the projects they
/// name may come.
pub(super) struct AggregateMultiTenancyIsolation<'a> {
    scene: &'a Scene<'a>,
}

impl<'a> AggregateMultiTenancyIsolation<'a> {
    pub(super) const fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene }
    }
}

impl Filter for AggregateMultiTenancyIsolation<'_> {
    fn scope(&self) -> Scope {
        Scope::Class
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let aggregates = &self.scene.hosts.class(row).aggregates;
        let mut admitted =
            aggregates.iter().filter(|(key, _)| key.starts_with("filter_tenant_id")).peekable();
        let is_open = admitted.peek().is_none();
        let is_named = admitted.any(|(_, projects)| projects.contains(&self.scene.request.project_id));
        pass_if(is_open || is_named, || Reason::ProjectKeptOut)
    }
}
