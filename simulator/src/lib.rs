//! A trace-driven simulator: the real index and the real scheduler on a virtual clock.
//!
//! [`simulate`] replays a trace of VMs on a fleet of hosts and returns an [`Outcome`]: totals and time series of how
//! full and how well packed the fleet was. [`report`] turns that into one self-contained HTML page. The same trace and
//! the same options give the same bytes, on any machine.
//!
//! This crate reads no clock and draws no random number; it writes nothing itself.

#![forbid(unsafe_code)]

mod departures;
mod fleet;
mod meter;
mod outcome;
pub mod report;
mod simulation;

pub use outcome::{Outcome, Sample, Share, Totals};
pub use simulation::{Observer, Options, SimulationError, simulate};
