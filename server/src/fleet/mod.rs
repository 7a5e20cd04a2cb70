//! The fleet of a service: the crate `fleet` with its surroundings.
//!
//! The crate [`berth_fleet`] decides what follows from commands and reports. This module gives it times and UUIDs, stores its
//! records, makes decisions for its instances, and exchanges messages with agents.
//!
//! | file | content |
//! |---|---|
//! | `handle.rs` | the owner of the fleet and its lock; each command is committed as one |
//! | `hosts.rs` | commands that write provider trees |
//! | `instances.rs` | creating and unshelving: records, decisions and claims in turn |
//! | `moves.rs` | resizing and migrating instances, likewise |
//! | `schedule.rs`, `ask.rs`, `decider.rs` | decisions |
//! | `reconcile.rs` | the loop that brings instances to their desired state |
//! | `outbox.rs` | the messages that an agent has yet to receive |
//! | `repeats.rs` | repeats of a request that is in progress |
//! | `message.rs` | from and to protobuf messages |
//! | `records/`, `stored.rs` | from and to stored records |

mod ask;
mod decider;
mod handle;
mod hosts;
mod instances;
pub(crate) mod message;
mod moves;
pub(crate) mod outbox;
pub(crate) mod reconcile;
mod records;
mod repeats;
mod schedule;
mod stored;

pub(crate) use ask::{Ask, group_hint};
pub use berth_fleet::FleetOptions;
pub(crate) use decider::{NamedPlace, NamedPlacement};
pub(crate) use handle::{FleetHandle, new_uuid};
pub use stored::FleetState;
