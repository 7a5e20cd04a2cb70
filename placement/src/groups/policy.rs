//! What a server group wants, and why it refuses.

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

/// What the members of a group want of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupPolicy {
    /// All instances on one host.
    Affinity,
    /// Few instances on each host.
    AntiAffinity {
        /// How many at most: Nova's rule `max_server_per_host`.
        max_per_host: NonZeroU32,
    },
    /// Rather on one host. Refuses nothing: it is for weighers.
    SoftAffinity,
    /// Rather on different hosts. Refuses nothing: it is for weighers.
    SoftAntiAffinity,
}

/// Why a group does not let something happen; nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// A group with this UUID exists.
    #[error("server group {:032x} exists already", .0.0)]
    Exists(GroupId),
    /// No such group.
    #[error("there is no server group {:032x}", .0.0)]
    Unknown(GroupId),
    /// A consumer is named as a member, but the claim does not say what it holds.
    #[error("member {:032x} is not written", .0.0)]
    NotWritten(ConsumerId),
    /// A consumer is named as a member twice.
    #[error("member {:032x} is named twice", .0.0)]
    NamedTwice(ConsumerId),
    /// A member would hold nothing in the tree of the host that it is said to be on.
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
    /// Anti-affinity: too many instances would be on one host.
    #[error("server group {:032x} would have {found} instances on {host}, {limit} are allowed", group.0)]
    Crowded {
        /// The group.
        group: GroupId,
        /// The host.
        host: Row,
        /// Instances that would be there.
        found: usize,
        /// How many may be there.
        limit: u32,
    },
}

impl GroupPolicy {
    /// Anti-affinity as it is without a rule: one instance on each host.
    pub const ANTI_AFFINITY: Self = Self::AntiAffinity { max_per_host: NonZeroU32::MIN };

    /// Whether the members may be where they are. Crowding is looked for on `hosts` only.
    pub(crate) fn judge(self, group: GroupId, roster: &Roster, hosts: &[Row]) -> Result<(), GroupError> {
        match self {
            Self::Affinity => together(group, roster),
            Self::AntiAffinity { max_per_host } => not_crowded(group, roster, hosts, max_per_host.get()),
            Self::SoftAffinity | Self::SoftAntiAffinity => Ok(()),
        }
    }
}

/// A place that is kept for an instance on its way does not count: the instance itself does.
fn together(group: GroupId, roster: &Roster) -> Result<(), GroupError> {
    let mut hosts = roster.members().iter().filter(|member| !member.is_kept()).map(|member| member.host);
    let Some(host) = hosts.next() else { return Ok(()) };
    match hosts.find(|&other| other != host) {
        Some(other) => Err(GroupError::Apart { group, host, other }),
        None => Ok(()),
    }
}

/// An instance counts once on a host, also where it has another place kept there.
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
