//! AvailabilityZoneFilter, of older releases

use super::{Filter, PASS, Reason, RequestState, Scene, Scope, Verdict, pass_if};
use crate::aggregates::AVAILABILITY_ZONE;
use crate::hosts::HostRow;

/// Passes hosts in the zone that is asked for. A host whose aggregates name no zone is in
/// `default_availability_zone`. Nova had this filter up to release 26; since then placement looks
/// after zones.
pub(super) struct AvailabilityZoneFilter<'a> {
    scene: &'a Scene<'a>,
    zone: Option<&'a str>,
}

impl<'a> AvailabilityZoneFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, zone: scene.request.availability_zone.as_deref().filter(|zone| !zone.is_empty()) }
    }
}

impl Filter for AvailabilityZoneFilter<'_> {
    fn scope(&self) -> Scope {
        if self.zone.is_none() { Scope::Everything } else { Scope::Class }
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let Some(asked) = self.zone else { return PASS };
        let aggregates = &self.scene.hosts.class(row).aggregates;
        let default = &self.scene.options.general.default_availability_zone;
        let found = aggregates.parts(AVAILABILITY_ZONE);
        pass_if(found.map_or(asked == default, |zones| zones.contains(asked)), || Reason::OtherZone {
            asked: asked.to_owned(),
            found: aggregates.zone().unwrap_or(default).to_owned(),
        })
    }
}
