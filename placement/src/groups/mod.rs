//! Server groups: consumers that must be together or apart, whatever is claimed concurrently.
//!
//! The claim itself checks a group's policy, with the group locked. `docs/claim-protocol.md` has
//! the argument.

mod claim;
mod consistency;
mod host;
mod policy;
mod registry;
mod roster;

pub(crate) use claim::{Joining, Regrouping};
pub use policy::{GroupError, GroupId, GroupPolicy};
pub use registry::ConsumerGroup;
pub(crate) use registry::Groups;
pub use roster::{Member, Roster};
