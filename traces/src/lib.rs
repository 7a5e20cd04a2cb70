//! Traces: everything that the simulator replays, as one stream of [`Vm`]s in order of arrival.
//!
//! A [`Trace`] comes from one of three places:
//! - a file: [`Trace::open`] reads the formats of [`Format`], plain or gzip, row by row;
//! - [`Generator`]: a seeded synthetic cloud calibrated on published statistics;
//! - [`reference`](mod@reference): the seeded workloads that serve to compare simulators.
//!
//! Hosts come from a file ([`neutral::read_hosts`]) or from a short notation (`64x256x3840:1000`,
//! see [`HostShapes`]).
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
//! | `columnar.rs` | Berth's own trace file: Parquet |
//! | `formats/` | readers of published formats |
//! | `sqlite.rs` | tables of SQLite files |
//! | `moment.rs` | seconds and dates |
//! | `rows.rs` | rows of a CSV file, with the line number for every error |
//! | `source.rs` | the bytes of a file, plain or gzip |
//! | `number.rs` | exact decimals |
//! | `progress.rs` | the reading progress |
//! | `fleet.rs` | hosts in a short notation: `64x256x3840:1000` |
//! | `generator.rs`, `quantiles.rs`, `rng.rs` | a synthetic cloud from published statistics, distributions by quantiles, random streams by seed and label |
//! | `reference.rs`, `reference/` | the reference workloads |
//! | `inspect/` | what in a trace cannot be right, what a trace is like, its load over time |
//! | `scale.rs` | other traces from one: thinned, denser, from other days, growing |
//! | `error.rs` | errors of reading and writing |
//!
//! Invariants: times are whole microseconds and amounts whole numbers; a float holds one only while
//! a format is read that has shares of machines or fractional days. A neutral file, Azure's of 2017
//! and a trace file of Berth are read row by row; other formats, which are not in order of arrival,
//! as a whole.
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
pub mod columnar;
pub mod generator;
pub mod inspect;
pub mod neutral;
pub mod reference;
pub mod rng;
pub mod scale;

mod error;
mod event;
mod fleet;
mod format;
mod formats;
mod gzip;
mod moment;
mod number;
mod progress;
mod quantiles;
mod rows;
mod source;
mod sqlite;
mod trace;

pub use error::{InvalidField, TraceError, WriteError};
pub use event::{BatchNumber, Demands, Micros, Pair, Resources, TraceHost, Vm};
pub use fleet::{HostShape, HostShapes, HostShapesError};
pub use format::{Format, UnknownFormatName};
pub use formats::decisions;
pub use generator::{Extent, Generator};
pub use number::NumberError;
pub use progress::{ReadProgress, Unit};
pub use trace::Trace;
