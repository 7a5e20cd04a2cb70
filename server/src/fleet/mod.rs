//! The fleet of a service: the crate `fleet` with its surroundings.
//!
//! The crate [`berth_fleet`] decides what follows from commands and reports. This module gives it
//! times and UUIDs, stores its records, makes decisions for its instances, and exchanges messages
//! with agents.
//!
//! From a request to a running guest, in the order of the calls:
//!
//! 1. `FleetHandle::create_instances` (`instances.rs`) records the instances, by a command of the
//!    fleet.
//! 2. `FleetHandle::schedule` (`schedule.rs`) checks owner, zone and group. The decider
//!    (`decider.rs`) chooses hosts and claims capacity; the fleet records each host
//!    (`Fleet::spawn`).
//! 3. A changed record makes its instance due (`FleetHandle::publish`, `handle.rs`). The loop
//!    (`reconcile.rs`) waits until the record is on disk, and puts the desired guest into the
//!    outbox of the host (`outbox.rs`).
//! 4. The agent reports what it observes (`grpc/agents.rs`). `FleetHandle::report` applies the
//!    report by a command (`Fleet::report`): the instance is active, or due again.
//!
//! | file | content |
//! |---|---|
//! | `handle.rs` | the owner of the fleet and its lock; each command is committed as one |
//! | `hosts.rs` | commands that write provider trees |
//! | `instances.rs` | creating and unshelving: records, decisions and claims in turn |
//! | `moves.rs` | resizing and migrating instances, likewise |
//! | `live.rs` | live-migrating instances |
//! | `evacuations.rs` | fence records; evacuating instances and hosts |
//! | `schedule.rs`, `ask.rs`, `decider.rs` | decisions |
//! | `reconcile.rs` | the loop that brings instances to their desired state |
//! | `consoles.rs` | console output of guests, from their agents |
//! | `outbox.rs` | the messages that an agent has yet to receive |
//! | `repeats.rs` | repeats of a request that is in progress |
//! | `message.rs` | from and to protobuf messages |
//! | `records/`, `stored.rs` | from and to stored records |

mod ask;
mod consoles;
mod decider;
mod evacuations;
mod handle;
mod hosts;
mod instances;
mod live;
pub(crate) mod message;
mod moves;
pub(crate) mod outbox;
mod rebuild;
pub(crate) mod reconcile;
mod records;
mod repeats;
mod schedule;
mod stored;

pub(crate) use ask::{Ask, group_hint};
pub use berth_fleet::{FleetOptions, LiveLimits};
pub(crate) use decider::{NamedPlace, NamedPlacement};
pub(crate) use evacuations::Evacuation;
pub(crate) use handle::{FleetHandle, new_uuid};
pub use stored::{FleetState, StoredHost, StoredInstance};
