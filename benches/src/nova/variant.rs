//! The variants of fleets and requests.

use std::fmt;
use std::str::FromStr;

use crate::suite::{UnknownChoice, named};

/// The constraints of a request; each variant includes those of the previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NovaVariant {
    /// The default filters and weighers, and an image with an architecture.
    Plain,
    /// Adds an anti-affinity group of up to 50 members, and a capability in the extra specs.
    Group,
    /// Adds two pinned NUMA cells on pages of 2 MiB, and one passthrough device.
    Numa,
}

impl NovaVariant {
    /// All variants.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Group, Self::Numa];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Group => "group",
            Self::Numa => "numa",
        }
    }
}

impl fmt::Display for NovaVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for NovaVariant {
    type Err = UnknownChoice;

    fn from_str(name: &str) -> Result<Self, UnknownChoice> {
        named("variant", &Self::ALL, name)
    }
}
