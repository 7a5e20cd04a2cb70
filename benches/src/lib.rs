//! The performance-regression harness of Berth.
//!
//! A [`suite`] measures rows: a name, parameters, percentiles, and the median of every round. Rounds go over all rows
//! in turn, so that a drifting machine drifts under all of them. A [`Report`] is the result as JSON; [`compare`] tells
//! from two of them which rows became slower, with confidence intervals; [`api`] fills the same rows from any server that
//! speaks the Placement API. The criterion and instruction-count benches of `benches/` stand on the same [`fleet`] and
//! [`requests`].

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a harness reads clocks; everything it measures is seeded")]

pub mod api;
pub mod bed;
pub mod candidates;
pub mod compare;
pub mod fleet;
pub mod group;
pub mod machine;
pub mod memory;
pub mod nova;
pub mod plot;
pub mod report;
pub mod requests;
pub mod series;
pub mod suite;
mod table;

pub use report::{Report, Row, Unit};
pub use table::table;
