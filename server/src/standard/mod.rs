//! Names that every Placement server knows from the start.

mod classes;
mod traits;

pub use classes::CLASSES;
pub use traits::TRAITS;

/// What the names of all other traits, resource classes begin with.
pub const CUSTOM_PREFIX: &str = "CUSTOM_";
