//! Berth traces: everything the simulator replays, as one stream of [`Vm`]s in order of arrival.
//!
//! A [`Trace`] comes from one of three places:
//! - a file: [`Trace::open`] reads the formats of [`Format`], plain or gzip, row by row;
//! - [`Generator`]: a seeded synthetic cloud calibrated on published statistics;
//! - [`reference`](mod@reference): the seeded workloads that simulators are compared on.
//!
//! Hosts come from a file ([`neutral::read_hosts`]) or from a few words (`64x256x3840:1000`, see
//! [`Fleet`]).
//!
//! Nothing here reads a clock: the same file, or the same seed, gives the same stream.
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
mod number;
mod progress;
mod quantiles;
mod rows;
mod source;
mod trace;

pub use error::{Reason, TraceError, WriteError};
pub use event::{Host, Micros, Resources, Vm};
pub use fleet::{Fleet, FleetError, HostShape};
pub use format::{Format, UnknownFormatName};
pub use generator::{Extent, Generator};
pub use number::NumberError;
pub use progress::{Progress, Unit};
pub use trace::Trace;
