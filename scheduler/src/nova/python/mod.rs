//! What Python makes of text, numbers and JSON.
//!
//! Nova's filters compare the *text* that Python would print for a value, and read numbers with `int()` and
//! `float()`. The difference from Rust's own rules is small and visible: `" 1_0 "` is ten, `16.0` prints as `16.0`,
//! and a separator control character is white space.

mod json;
mod number;
mod text;
mod value;

pub use json::JsonError;
pub use number::{NotANumber, float, float_text, integer};
pub use text::{is_space, quoted, strip, words};
pub use value::Value;
