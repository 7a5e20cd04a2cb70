//! PciPassthroughFilter

use super::{Filter, PASS, Reason, RequestState, Scene, Scope, Verdict};
use crate::hosts::HostRow;
use crate::pci::{self, PciRefusal, PciRequest};

/// Passes hosts whose passthrough devices can serve the requests. Allocation candidates with which
/// they cannot are dropped.
pub(super) struct PciPassthroughFilter<'a> {
    scene: &'a Scene<'a>,
    requests: &'a [PciRequest],
}

impl<'a> PciPassthroughFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, requests: scene.request.pci_requests.as_deref().unwrap_or_default() }
    }
}

impl Filter for PciPassthroughFilter<'_> {
    fn scope(&self) -> Scope {
        if self.requests.is_empty() { Scope::Everything } else { Scope::Host }
    }

    fn judge(&self, row: HostRow, state: &mut RequestState) -> Verdict {
        let (candidates, left) = state.candidates_and_left(row);
        match pci::retain_candidates(self.scene.hosts.pools(row), self.requests, candidates, left) {
            Ok(()) => PASS,
            Err(Some(PciRefusal::Fault(fault))) => Err(fault.into()),
            Err(Some(PciRefusal::Misfit(misfit))) => Ok(Err(misfit.into())),
            Err(None) => Ok(Err(Reason::NoDevices)),
        }
    }
}
