//! What Python makes of text, numbers and JSON.
//!
//! Nova's filters compare the *text* that Python would print for a value, and read numbers with `int()` and
//! `float()`. The difference from Rust's own rules is small and visible: `" 1_0 "` is ten and so is `"١٠"`, `16.0`
//! prints as `16.0`, and a separator control character is white space, except around a number.

mod digit;
mod json;
mod number;
#[cfg(test)]
mod table_tests;
mod text;
mod value;

pub use json::JsonError;
pub use number::{NotANumber, float, float_text, integer, integer_64, nearest_64};
pub use text::{is_space, quoted, strip, truth, words};
pub use value::Value;
