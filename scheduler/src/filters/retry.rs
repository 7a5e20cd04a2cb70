//! RetryFilter, of older releases

use super::{Filter, Reason, RequestState, Scene, Scope, Verdict, pass_if};
use crate::hosts::HostRow;

/// Refuses hosts that were tried before for the same request. Nova had this filter up to release
/// 20; since then alternates are chosen in advance.
pub(super) struct RetryFilter<'a> {
    scene: &'a Scene<'a>,
    tried: &'a [(String, Option<String>)],
}

impl<'a> RetryFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, tried: scene.request.retry.as_ref().map_or(&[], |retry| &retry.hosts) }
    }
}

impl Filter for RetryFilter<'_> {
    fn scope(&self) -> Scope {
        if self.tried.is_empty() { Scope::Everything } else { Scope::Host }
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let (host, node) = (self.scene.hosts.host(row), self.scene.hosts.node(row));
        let tried = self.tried.iter().any(|(name, other)| name == host && other.as_deref() == Some(node));
        pass_if(!tried, || Reason::TriedBefore)
    }
}
