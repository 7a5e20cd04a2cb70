//! A trace-driven simulator: the real index and the real scheduler on a virtual clock.
//!
//! [`simulate`] replays a trace of VMs on a fleet of hosts and returns a [`SimulationOutcome`]:
//! totals and time series of utilisation and packing density. [`report`] renders it as one
//! self-contained HTML page. The same trace and options give the same bytes on any machine.
//! [`simulate_nova`] runs the decider of the service, with Nova's filters and weighers.
//!
//! This crate reads no clock and writes no file. It draws random numbers only from seeded streams.
//!
//! | file | content |
//! |---|---|
//! | `simulation.rs` | the run: arrivals, departures, decisions, final checks |
//! | `policy.rs` | placement policies on amounts |
//! | `nova.rs` | Nova's pipeline on the fleet of a trace, as a `HostSource` of the decider |
//! | `departures.rs` | the queue of departing VMs: a radix heap |
//! | `fleet.rs` | builds the index of a fleet |
//! | `meter.rs` | sums, means, peaks and samples from events alone, independent of the index |
//! | `outcome.rs` | the result of a run |
//! | `scenario/` | scenarios: many runs of a workload on a fleet, failures, waiting, plans |
//! | `report/` | the result as one HTML page and as JSON: `series.rs` defines the charts, `chart.rs` draws them, `page.rs` assembles the page |
//!
//! Invariants: the simulator has no scheduler of its own; it measures the code in `placement` and
//! `scheduler`. It writes no file and prints nothing: it calls an [`Observer`], and returns an
//! [`SimulationOutcome`] and texts.

#![forbid(unsafe_code)]

mod departures;
mod fleet;
mod meter;
mod nova;
mod outcome;
mod policy;
pub mod report;
pub mod scenario;
mod simulation;

pub use nova::NovaOptions;
pub use outcome::{Sample, Share, SimulationOutcome, Totals};
pub use simulation::{Observer, SimulationError, SimulationOptions, simulate, simulate_nova};
