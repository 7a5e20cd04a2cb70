//! Traces: everything that the simulator replays, as one stream of [`Vm`]s in order of arrival.
//!
//! A [`Trace`] comes from one of three places:
//! - a file: [`Trace::open`] reads the formats of [`Format`], plain or gzip, row by row;
//! - [`Generator`]: a seeded synthetic cloud calibrated on published statistics;
//! - [`reference`](mod@reference): the seeded workloads that serve to compare simulators.
//!
//! Hosts come from a file ([`neutral::read_hosts`]) or from a short notation (`64x256x3840:1000`,
//! see [`Fleet`]).
//!
//! This crate reads no clock: the same file, or the same seed, gives the same stream.
//!
//! | file | content |
//! |---|---|
//! | `event.rs` | `Vm`, `Host`, `Resources`, `Micros` |
//! | `trace.rs` | `Trace`: the stream |
//! | `format.rs` | the formats, detected from the header |
//! | `neutral.rs` | reads and writes the neutral CSV |
//! | `azure_v1.rs` | the Azure public trace V1 |
//! | `rows.rs` | rows of a CSV file, with the line number for every error |
//! | `source.rs` | the bytes of a file, plain or gzip |
//! | `number.rs` | exact decimals |
//! | `progress.rs` | the reading progress |
//! | `fleet.rs` | hosts in a short notation: `64x256x3840:1000` |
//! | `generator.rs`, `quantiles.rs`, `rng.rs` | a synthetic cloud from published statistics, distributions by quantiles, random streams by seed and label |
//! | `reference.rs`, `reference/` | the reference workloads |
//! | `error.rs` | errors of reading and writing |
//!
//! Invariants: no floating point holds a time or a size that was read; times are whole microseconds.
//! A trace is never held in memory as a whole; only host files are.
//!
//! ```
//! use berth_traces::{Extent, Generator, Micros};
//!
//! let day = Extent::Duration(Micros::from_secs(86_400));
//! for vm in Generator::azure_like(42, day).trace() {
//!     let vm = vm?;
//!     assert!(vm.departure > Some(vm.arrival));
//! }
//! # Ok::<(), berth_traces::TraceError>(())
//! ```

#![forbid(unsafe_code)]

pub mod azure_v1;
pub mod generator;
pub mod neutral;
pub mod reference;
pub mod rng;

mod error;
mod event;
mod fleet;
mod format;
mod gzip;
mod number;
mod progress;
mod quantiles;
mod rows;
mod source;
mod trace;

pub use error::{Reason, TraceError, WriteError};
pub use event::{Demands, Host, Micros, Pair, Resources, Vm};
pub use fleet::{Fleet, FleetError, HostShape};
pub use format::{Format, UnknownFormatName};
pub use generator::{Extent, Generator};
pub use number::NumberError;
pub use progress::{Progress, Unit};
pub use trace::Trace;
