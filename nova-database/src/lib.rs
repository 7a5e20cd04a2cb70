//! Hosts, services, aggregates and instances, read from the databases of Nova.
//!
//! [`NovaHosts`] is what a decider works with: a
//! [`HostSource`](berth_scheduler::decider::HostSource) over the hosts of all cells. [`Reader`]
//! fills it from the API database and the cells' databases, [`Freshness`] shares one reading among
//! all requests that wait, and casts of Nova's services go to it directly. [`OwnServiceRecord`]
//! keeps the scheduler's own row.
//!
//! # Files
//!
//! | file | content |
//! |---|---|
//! | `hosts.rs`, `cell_hosts.rs`, `pending.rs` | all that is known of hosts, and its changes; those of one cell; decisions that rows do not show yet |
//! | `buckets.rs`, `instances.rs` | ranges of rows that are compared as wholes; which instances are on which host |
//! | `row.rs`, `compute_node.rs`, `service.rs`, `aggregates.rs`, `cells.rs` | rows as texts, and what they say |
//! | `live.rs` | what a snapshot of the fleet takes from the databases, with its queries |
//! | `discovery.rs` | new hosts are mapped to their cells |
//! | `statistics.rs` | counts for metrics |
//! | `schema.rs` | the releases whose schema is known |
//! | `url.rs` | database URLs and templates |
//! | `connection.rs`, `reader.rs`, `cell_reader.rs`, `freshness.rs`, `service_record.rs` | the files with I/O: queries, those of one cell, when they run, the service record |
//!
//! # Invariants
//!
//! - Cells and the API database are only read, except that [`Reader::discover_hosts`] maps hosts
//!   where the settings ask for it. [`OwnServiceRecord`] writes one row of one table.
//! - A decision rests on compute nodes, services and aggregates that were read after its request
//!   arrived.
//! - The work of a reading follows the changes since the one before, not the number of hosts.
//! - URLs contain passwords: no error and no log line has one.

#![forbid(unsafe_code)]

mod aggregates;
mod buckets;
mod cell_hosts;
mod cell_reader;
mod cells;
mod compute_node;
mod connection;
mod discovery;
mod freshness;
mod hosts;
mod instances;
mod kept;
mod live;
mod pending;
mod reader;
mod row;
mod schema;
mod service;
mod service_record;
mod statistics;
mod url;

pub use cells::InvalidCell;
pub use connection::DatabaseQueryError;
pub use freshness::{Freshness, Intervals};
pub use hosts::{HostCounts, NovaHosts};
pub use live::{LiveHost, LiveInstance, LiveRecords, read_live};
pub use pending::Pending;
pub use reader::{Clock, DatabaseError, DatabaseOptions, Reader};
pub use row::{InvalidRow, TextRow};
pub use schema::UnknownSchema;
pub use service_record::OwnServiceRecord;
pub use statistics::ReadStatistics;
pub use url::{DatabaseUrl, InvalidDatabaseUrl, Kind};
