//! ServerGroupAffinityFilter, ServerGroupAntiAffinityFilter

use rustc_hash::FxHashMap;

use super::{Filter, FilterError, PASS, Reason, RequestState, Scene, Scope, Verdict, pass_if};
use crate::hosts::HostRow;
use crate::python::NotANumber;
use crate::request_spec::GroupPolicyKind;

/// Policy `affinity`: passes the hosts of the group; any host as long as the group has none.
pub(super) struct ServerGroupAffinityFilter<'a> {
    scene: &'a Scene<'a>,
    /// Hosts of the group, if the policy applies and there are any.
    group: Option<Affinity>,
}

struct Affinity {
    /// Those that the table has, sorted.
    services: Vec<u32>,
    /// How many there are.
    hosts: usize,
}

impl<'a> ServerGroupAffinityFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let group = scene.request.instance_group.as_ref();
        let group = group.filter(|group| group.policy == Some(GroupPolicyKind::Affinity));
        let group = group.filter(|group| !group.hosts.is_empty()).map(|group| {
            let services = group.hosts.iter().filter_map(|host| scene.hosts.service_named(host));
            let mut services: Vec<u32> = services.collect();
            services.sort_unstable();
            Affinity { services, hosts: group.hosts.len() }
        });
        Self { scene, group }
    }
}

impl Filter for ServerGroupAffinityFilter<'_> {
    fn scope(&self) -> Scope {
        if self.group.is_none() { Scope::Everything } else { Scope::Host }
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let Some(Affinity { services, hosts }) = &self.group else { return PASS };
        let found = services.binary_search(&self.scene.hosts.service_id(row)).is_ok();
        pass_if(found, || Reason::GroupIsElsewhere { hosts: *hosts })
    }
}

/// Policy `anti-affinity`: passes hosts with fewer instances of the group than rule
/// `max_server_per_host` (1) says, and the hosts that the instance itself is on.
pub(super) struct ServerGroupAntiAffinityFilter<'a> {
    scene: &'a Scene<'a>,
    group: Option<AntiAffinity<'a>>,
}

struct AntiAffinity<'a> {
    /// Members on each service host that has any.
    members: FxHashMap<u32, i64>,
    own_hosts: &'a [u32],
    limit: Result<i64, NotANumber>,
}

impl<'a> ServerGroupAntiAffinityFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let group = scene.request.instance_group.as_ref();
        let group = group.filter(|group| group.policy == Some(GroupPolicyKind::AntiAffinity));
        let group = group.map(|group| AntiAffinity {
            members: scene.hosts.count_instances(&group.members),
            own_hosts: scene.hosts.hosts_of_instance(scene.request.instance_uuid),
            limit: group.rules.max_server_per_host.clone().unwrap_or(Ok(1)),
        });
        Self { scene, group }
    }
}

impl Filter for ServerGroupAntiAffinityFilter<'_> {
    fn scope(&self) -> Scope {
        if self.group.is_none() { Scope::Everything } else { Scope::Host }
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let Some(group) = &self.group else { return PASS };
        let service = self.scene.hosts.service_id(row);
        if group.own_hosts.contains(&service) {
            return PASS;
        }
        let found = group.members.get(&service).copied().unwrap_or(0);
        let limit = group.limit.clone().map_err(FilterError::GroupRule)?;
        pass_if(found < limit, || Reason::TooManyOfTheGroup { found, limit })
    }
}
