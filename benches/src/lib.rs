//! The performance-regression harness of Berth.
//!
//! A [`suite`] measures rows: a name, parameters, percentiles, and the median of every round.
//! Rounds visit all rows in turn, so that drift of the machine affects all of them. A [`Report`] is
//! the result as JSON. [`compare`] finds the rows of two reports that became slower, with
//! confidence intervals. [`api`] produces the same rows from any server of the Placement API,
//! [`nova_rpc`] from any scheduler on Nova's bus. The criterion and instruction-count benches in
//! `benches/` use the same [`fleet`] and [`requests`].

#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "a harness reads clocks; everything that it measures is seeded"
)]

pub mod api;
pub mod bed;
pub mod candidates;
pub mod compare;
pub mod fleet;
pub mod group;
pub mod machine;
pub mod memory;
pub mod nova;
pub mod nova_rpc;
pub mod plot;
pub mod report;
pub mod requests;
pub mod series;
pub mod suite;
mod table;

/// A callback that receives the next step of a run and returns whether to continue.
pub type Progress<'a> = dyn Fn(&str) -> bool + Sync + 'a;

pub use report::{Report, ReportRow, RowUnit};
pub use table::table;
