//! Locates the consumers that a request refers to: members of its server group, and instances that
//! its hints name.
//!
//! A [`HostSource`](super::HostSource) may not know all of them: a client that only schedules has
//! no instances, but its consumers hold allocations. The index knows their hosts. Filters and
//! weight normalization therefore use the same hosts, whatever the source knows.

use std::collections::BTreeSet;

use berth_placement::{ConsumerId, GroupError, GroupId, Index, Row};
use uuid::Uuid;

use super::known::KnownHosts;
use crate::RequestSpec;
use crate::request_spec::ServerGroup;

/// A consumer and the root provider of its host.
pub(super) type Located = (ConsumerId, Row);

/// The server group with its current members, and the hosts of all but the instance that the
/// request is about: where it is does not bind it.
pub(super) fn server_group(
    index: &Index,
    known: &KnownHosts,
    (id, instance): (GroupId, Uuid),
) -> Result<(ServerGroup, Vec<Located>), GroupError> {
    let group = index.group(id).ok_or(GroupError::Unknown(id))?;
    let roster = group.roster().ok_or(GroupError::Unknown(id))?;
    let mut members: Vec<Uuid> = roster.members().iter().map(|member| member.instance.into()).collect();
    members.dedup();
    let moving = ConsumerId::from(instance);
    let others = roster.members().iter().filter(|member| !member.is_kept() && member.instance != moving);
    let rows: BTreeSet<Row> = others.map(|member| member.host).collect();
    let hosts = rows.into_iter().filter_map(|row| known.name(row)).map(str::to_owned).collect();
    let instances = roster.members().iter().filter(|member| !member.is_kept());
    let located = instances.map(|member| (member.consumer, member.host)).collect();
    Ok((ServerGroup::new(Uuid::from_u128(id.0), group.policy(), members, hosts), located))
}

/// The instances that hints name and that hold allocations.
pub(super) fn named_by_hints(index: &Index, spec: &RequestSpec) -> Vec<Located> {
    let consumers = spec.scheduler_hints.instances().map(ConsumerId::from);
    let topology = index.topology();
    let located = consumers.filter_map(|consumer| {
        let provider = topology.host_of(&index.allocations(consumer)?)?;
        Some((consumer, topology.provider(provider)?.root))
    });
    located.collect()
}
