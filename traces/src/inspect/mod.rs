//! Looks at whole traces: what cannot be right, and what a trace is like.

mod check;
mod describe;
mod load;

pub use check::{Check, Finding, check};
pub use describe::{Description, QUANTILES, Shape, describe};
pub use load::{Load, load};
