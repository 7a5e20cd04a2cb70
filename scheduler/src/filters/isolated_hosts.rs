//! IsolatedHostsFilter

use super::{Filter, Reason, RequestState, Scene, Verdict, pass_if};
use crate::hosts::HostRow;

/// Keeps `isolated_images` and `isolated_hosts` together. Isolated images go to isolated hosts
/// only; other images go to other hosts only, unless `restrict_isolated_hosts_to_isolated_images`
/// is off.
pub(super) struct IsolatedHostsFilter<'a> {
    scene: &'a Scene<'a>,
    image_is_isolated: bool,
}

impl<'a> IsolatedHostsFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let id = scene.request.image.as_ref().and_then(|image| image.id.as_ref());
        let isolated = &scene.options.filter_scheduler.isolated_images;
        Self { scene, image_is_isolated: id.is_some_and(|id| isolated.contains(id)) }
    }
}

impl Filter for IsolatedHostsFilter<'_> {
    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let options = &self.scene.options.filter_scheduler;
        let host = self.scene.hosts.host(row);
        let host_is_isolated = options.isolated_hosts.iter().any(|name| name == host);
        match (self.image_is_isolated, host_is_isolated) {
            (true, false) => pass_if(false, || Reason::ImageIsIsolated),
            (false, true) => {
                pass_if(!options.restrict_isolated_hosts_to_isolated_images, || Reason::HostIsIsolated)
            }
            _ => super::PASS,
        }
    }
}
