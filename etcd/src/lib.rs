//! A client of etcd, API version 3, for programs that have to know what a failed call has changed.
//!
//! | file | content |
//! |---|---|
//! | `location.rs` | `etcd://HOST:PORT,…/PREFIX` |
//! | `options.rs` | members, TLS, user and password, time limits |
//! | `client.rs`, `members.rs`, `failure.rs` | one call on one of several members: selection, back-off, what an error means |
//! | `key.rs` | ranges of keys, keys with their values |
//! | `range.rs` | a range in pages, all of one revision |
//! | `transaction.rs` | a transaction with conditions |
//! | `lease.rs` | a lease that is kept alive |
//! | `watch.rs` | changes of a range, in order, across broken streams |
//! | `maintenance.rs`, `version.rs` | state and version of each member, alarms, compaction, defragmentation |
//!
//! # What a failed call has changed
//!
//! A member that fails, is stopped or loses its leader leaves the client without a response, while
//! the request may still be applied, also later. [`EtcdError::Unknown`] says exactly that, and the
//! client never repeats such a transaction by itself: it repeats reads, and calls that no member
//! has accepted. A caller makes its transactions safe to repeat by their conditions.
//!
//! # Members
//!
//! A call begins at the member that answered last, and moves on to the next one when it fails or
//! does not answer in time. A member that failed is left out for a time that doubles with each
//! failure. Requests ask for a leader, so a member that lost contact to the others refuses them at
//! once.
//!
//! A client, its leases and its watches belong to the tokio runtime in which they were created.

#![forbid(unsafe_code)]

mod client;
mod failure;
mod key;
mod lease;
mod location;
mod maintenance;
mod members;
mod options;
mod range;
mod transaction;
mod version;
mod watch;

pub use client::EtcdClient;
pub use failure::EtcdError;
pub use key::{KeyEntry, KeyRange};
pub use lease::{EtcdLease, LeaseId, LeaseView};
pub use location::{EtcdLocation, InvalidLocation};
pub use maintenance::{EtcdAlarm, MemberStatus};
pub use options::{EtcdCredentials, EtcdOptions, EtcdTls};
pub use range::RangePages;
pub use transaction::{Transaction, TransactionOutcome};
pub use version::EtcdVersion;
pub use watch::{KeyEvent, KeyWatch, WatchError};

/// Messages and clients, generated.
#[allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "generated"
)]
mod proto {
    tonic::include_proto!("etcdserverpb");
}
