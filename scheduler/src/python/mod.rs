//! Python's interpretation of text, numbers and JSON.
//!
//! Nova's filters compare the *text* that Python would print for a value, and read numbers with
//! `int()` and `float()`. The difference from Rust's own rules is small and visible: `" 1_0 "` is
//! ten and so is `"١٠"`, `16.0` prints as `16.0`, and a separator control character is white space,
//! except around a number.

mod digit;
mod json;
mod number;
#[cfg(test)]
mod table_tests;
mod text;
mod value;

pub use json::JsonError;
pub use number::{NotANumber, float, integer};
pub(crate) use number::{integer_64, nearest_64};
pub(crate) use text::{is_space, strip};
pub use text::{quoted, truth, words};
pub use value::Value;
