//! The policy of a server group, and the reasons for which it refuses a change.

use std::num::NonZeroU32;

use smallvec::SmallVec;
use uuid::Uuid;

use crate::consumers::ConsumerId;
use crate::groups::Roster;
use crate::ids::Row;

/// The UUID of a server group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u128);

impl From<Uuid> for GroupId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid.as_u128())
    }
}

/// The placement rule for the members of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupPolicy {
    /// All instances on one host.
    Affinity,
    /// At most a given number of instances on each host.
    AntiAffinity {
        /// The limit: Nova's rule `max_server_per_host`.
        max_per_host: NonZeroU32,
    },
    /// Preferably on one host. Refuses nothing; weighers use it.
    SoftAffinity,
    /// Preferably on different hosts. Refuses nothing; weighers use it.
    SoftAntiAffinity,
}

/// Why a group refuses a change; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// A group with this UUID exists.
    #[error("server group {:032x} exists already", .0.0)]
    Exists(GroupId),
    /// No such group.
    #[error("there is no server group {:032x}", .0.0)]
    Unknown(GroupId),
    /// A consumer is listed as a member, but the claim does not write its allocations.
    #[error("the claim does not write the allocations of member {:032x}", .0.0)]
    NotWritten(ConsumerId),
    /// A consumer is listed as a member twice.
    #[error("member {:032x} is listed twice", .0.0)]
    NamedTwice(ConsumerId),
    /// A member would have no allocation in the tree of its host.
    #[error("consumer {:032x} has no allocation in the tree of {host}", consumer.0)]
    NotOnHost {
        /// The consumer.
        consumer: ConsumerId,
        /// The host.
        host: Row,
    },
    /// A consumer is a member of another group.
    #[error("consumer {:032x} is in server group {:032x}", consumer.0, group.0)]
    InAnotherGroup {
        /// The consumer.
        consumer: ConsumerId,
        /// Its group.
        group: GroupId,
    },
    /// Affinity: instances would be on two hosts.
    #[error("server group {:032x} would be on {host} and on {other}", group.0)]
    Apart {
        /// The group.
        group: GroupId,
        /// A host of the group.
        host: Row,
        /// Another one.
        other: Row,
    },
    /// Anti-affinity: a host would have more instances than the limit.
    #[error("server group {:032x} would have {found} instances on {host}, {limit} are allowed", group.0)]
    Crowded {
        /// The group.
        group: GroupId,
        /// The host.
        host: Row,
        /// The number of instances on the host after the change.
        found: usize,
        /// The largest allowed number.
        limit: u32,
    },
}

impl GroupPolicy {
    /// Anti-affinity without a rule: one instance on each host.
    pub const ANTI_AFFINITY: Self = Self::AntiAffinity { max_per_host: NonZeroU32::MIN };

    /// Checks the members' hosts against the policy. The limit per host is checked on `hosts` only.
    pub(crate) fn judge(self, group: GroupId, roster: &Roster, hosts: &[Row]) -> Result<(), GroupError> {
        match self {
            Self::Affinity => together(group, roster),
            Self::AntiAffinity { max_per_host } => not_crowded(group, roster, hosts, max_per_host.get()),
            Self::SoftAffinity | Self::SoftAntiAffinity => Ok(()),
        }
    }
}

/// Ignores the place kept for a moving instance, because the instance itself counts.
fn together(group: GroupId, roster: &Roster) -> Result<(), GroupError> {
    let mut hosts = roster.members().iter().filter(|member| !member.is_kept()).map(|member| member.host);
    let Some(host) = hosts.next() else { return Ok(()) };
    match hosts.find(|&other| other != host) {
        Some(other) => Err(GroupError::Apart { group, host, other }),
        None => Ok(()),
    }
}

/// Counts an instance once on a host, even where it has another place kept on the same host.
fn not_crowded(group: GroupId, roster: &Roster, hosts: &[Row], limit: u32) -> Result<(), GroupError> {
    let there = roster.members().iter().filter(|member| hosts.contains(&member.host));
    let mut places: SmallVec<[(Row, ConsumerId); 8]> =
        there.map(|member| (member.host, member.instance)).collect();
    places.sort_unstable();
    places.dedup();
    let crowd = places.chunk_by(|a, b| a.0 == b.0).find(|crowd| crowd.len() > limit as usize);
    crowd.map_or(Ok(()), |crowd| {
        Err(GroupError::Crowded { group, host: crowd[0].0, found: crowd.len(), limit })
    })
}
