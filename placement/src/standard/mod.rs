//! Names that all OpenStack services share.

mod classes;
mod traits;

pub use classes::CLASSES;
pub use traits::TRAITS;

/// The prefix of all other resource classes and traits.
pub const CUSTOM_PREFIX: &str = "CUSTOM_";
