//! SameHostFilter, DifferentHostFilter

use super::{Filter, Reason, RequestState, Scene, Scope, Verdict, pass_if};
use crate::hosts::HostRow;
use crate::request_spec::{Hint, instance_of_hint};

/// Service hosts of the instances that a hint names; none without the hint.
struct NamedInstances<'a> {
    scene: &'a Scene<'a>,
    hosts: Option<Vec<u32>>,
}

impl<'a> NamedInstances<'a> {
    fn new(scene: &'a Scene<'a>, hint: &str) -> Self {
        let hosts_of =
            |text: &str| instance_of_hint(text).map_or(&[][..], |uuid| scene.hosts.hosts_of_instance(uuid));
        let hosts = scene.request.scheduler_hints.given(hint).map(|uuids| match uuids {
            Hint::One(uuid) => hosts_of(uuid).to_vec(),
            Hint::Many(uuids) => uuids.iter().flat_map(|uuid| hosts_of(uuid)).copied().collect(),
        });
        Self { scene, hosts }
    }

    const fn scope(&self) -> Scope {
        if self.hosts.is_none() { Scope::Everything } else { Scope::Host }
    }

    /// Whether one of them is on the host; none without the hint.
    fn are_on(&self, row: HostRow) -> Option<bool> {
        self.hosts.as_ref().map(|hosts| hosts.contains(&self.scene.hosts.service_id(row)))
    }
}

/// Hint `same_host`: passes hosts with one of these instances.
pub(super) struct SameHostFilter<'a>(NamedInstances<'a>);

impl<'a> SameHostFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        Self(NamedInstances::new(scene, "same_host"))
    }
}

impl Filter for SameHostFilter<'_> {
    fn scope(&self) -> Scope {
        self.0.scope()
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        pass_if(self.0.are_on(row) != Some(false), || Reason::NotTheSameHost)
    }
}

/// Hint `different_host`: passes hosts without any of these instances.
pub(super) struct DifferentHostFilter<'a>(NamedInstances<'a>);

impl<'a> DifferentHostFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        Self(NamedInstances::new(scene, "different_host"))
    }
}

impl Filter for DifferentHostFilter<'_> {
    fn scope(&self) -> Scope {
        self.0.scope()
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        pass_if(self.0.are_on(row) != Some(true), || Reason::SameHostAsOther)
    }
}
