//! Names that all OpenStack services know without asking.

mod classes;
mod traits;

pub use classes::CLASSES;
pub use traits::TRAITS;

/// What the names of all other resource classes and traits begin with.
pub const CUSTOM_PREFIX: &str = "CUSTOM_";
