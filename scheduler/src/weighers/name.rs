//! The weighers by name.

use std::fmt;
use std::str::FromStr;

use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};

use super::Weigher;
use super::build_failure::BuildFailureWeigher;
use super::cpu::CpuWeigher;
use super::cross_cell::CrossCellWeigher;
use super::disk::DiskWeigher;
use super::hypervisor_version::HypervisorVersionWeigher;
use super::image_properties::ImagePropertiesWeigher;
use super::io_ops::IoOpsWeigher;
use super::lifetime::LifetimeWeigher;
use super::metrics::MetricsWeigher;
use super::num_instances::NumInstancesWeigher;
use super::pci::PciWeigher;
use super::ram::RamWeigher;
use super::server_group::SoftAffinityWeigher;
use crate::filters::Scene;

/// The name of a weigher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[expect(missing_docs, reason = "each is documented at the type of that name")]
pub enum WeigherName {
    ServerGroupSoftAffinityWeigher,
    ServerGroupSoftAntiAffinityWeigher,
    BuildFailureWeigher,
    CPUWeigher,
    CrossCellWeigher,
    DiskWeigher,
    HypervisorVersionWeigher,
    ImagePropertiesWeigher,
    IoOpsWeigher,
    MetricsWeigher,
    NumInstancesWeigher,
    PCIWeigher,
    RAMWeigher,
    LifetimeWeigher,
}

/// There is no weigher of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown weigher {0}")]
pub struct UnknownWeigher(pub String);

impl FromStr for WeigherName {
    type Err = UnknownWeigher;

    fn from_str(name: &str) -> Result<Self, UnknownWeigher> {
        let deserializer: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
            name.into_deserializer();
        Self::deserialize(deserializer).map_err(|_| UnknownWeigher(name.to_owned()))
    }
}

impl fmt::Display for WeigherName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

/// Gives the weigher of a name to a function.
macro_rules! prepared {
    ($name:expr, $scene:expr, $give:expr) => {
        match $name {
            WeigherName::ServerGroupSoftAffinityWeigher => $give(SoftAffinityWeigher::together($scene)),
            WeigherName::ServerGroupSoftAntiAffinityWeigher => $give(SoftAffinityWeigher::apart($scene)),
            WeigherName::BuildFailureWeigher => $give(BuildFailureWeigher($scene)),
            WeigherName::CPUWeigher => $give(CpuWeigher($scene)),
            WeigherName::CrossCellWeigher => $give(CrossCellWeigher($scene)),
            WeigherName::DiskWeigher => $give(DiskWeigher($scene)),
            WeigherName::HypervisorVersionWeigher => $give(HypervisorVersionWeigher($scene)),
            WeigherName::ImagePropertiesWeigher => $give(ImagePropertiesWeigher::new($scene)),
            WeigherName::IoOpsWeigher => $give(IoOpsWeigher($scene)),
            WeigherName::MetricsWeigher => $give(MetricsWeigher::new($scene)),
            WeigherName::NumInstancesWeigher => $give(NumInstancesWeigher($scene)),
            WeigherName::PCIWeigher => $give(PciWeigher($scene)),
            WeigherName::RAMWeigher => $give(RamWeigher($scene)),
            WeigherName::LifetimeWeigher => $give(LifetimeWeigher::new($scene)),
        }
    };
}

impl WeigherName {
    /// Every weigher, each at the place of its number, `name as usize`. Those that Nova does not
    /// have come last, and are not in [`Self::ALL`].
    pub(super) const EVERY: [Self; 14] = [
        Self::ServerGroupSoftAffinityWeigher,
        Self::ServerGroupSoftAntiAffinityWeigher,
        Self::BuildFailureWeigher,
        Self::CPUWeigher,
        Self::CrossCellWeigher,
        Self::DiskWeigher,
        Self::HypervisorVersionWeigher,
        Self::ImagePropertiesWeigher,
        Self::IoOpsWeigher,
        Self::MetricsWeigher,
        Self::NumInstancesWeigher,
        Self::PCIWeigher,
        Self::RAMWeigher,
        Self::LifetimeWeigher,
    ];

    /// Those of Nova, in alphabetical order of its modules. Nova's own order is that of its files
    /// on disk.
    pub const ALL: [Self; 13] = *Self::EVERY.first_chunk().expect("Nova's come first");

    /// Whether the raw weight is the same for every request, as long as the host does not change.
    #[must_use]
    pub(crate) const fn depends_on_host_only(self) -> bool {
        match self {
            Self::ServerGroupSoftAffinityWeigher
            | Self::ServerGroupSoftAntiAffinityWeigher
            | Self::CrossCellWeigher
            | Self::ImagePropertiesWeigher
            | Self::LifetimeWeigher => false,
            Self::BuildFailureWeigher
            | Self::CPUWeigher
            | Self::DiskWeigher
            | Self::HypervisorVersionWeigher
            | Self::IoOpsWeigher
            | Self::MetricsWeigher
            | Self::NumInstancesWeigher
            | Self::PCIWeigher
            | Self::RAMWeigher => true,
        }
    }

    /// The weigher for a request.
    #[must_use]
    pub fn prepare<'a>(self, scene: &'a Scene<'a>) -> Box<dyn Weigher + 'a> {
        prepared!(self, scene, Box::new)
    }

    /// Lends the weigher for a request, for a moment in which it is not worth a box.
    pub(super) fn with<'a, R>(self, scene: &'a Scene<'a>, use_it: impl FnOnce(&dyn Weigher) -> R) -> R {
        prepared!(self, scene, |weigher| use_it(&weigher))
    }
}

/// Weighers written as Nova's configuration files name them: `nova.scheduler.weights.all_weighers`,
/// or the path of a class, of which the last part counts.
pub mod class_paths {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::WeigherName;

    const ALL: &str = "nova.scheduler.weights.all_weighers";

    /// Reads a list of paths.
    ///
    /// # Errors
    ///
    /// If one of them names no weigher.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<WeigherName>, D::Error> {
        let mut names = Vec::new();
        for path in Vec::<String>::deserialize(deserializer)? {
            if path == ALL {
                names.extend(WeigherName::ALL);
            } else {
                let name = path.rsplit('.').next().unwrap_or(&path);
                names.push(name.parse().map_err(D::Error::custom)?);
            }
        }
        Ok(names)
    }

    /// Writes names.
    ///
    /// # Errors
    ///
    /// Whatever the serializer reports.
    pub fn serialize<S: Serializer>(names: &[WeigherName], serializer: S) -> Result<S::Ok, S::Error> {
        names.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reader of names knows all of them, in the order of their numbers. A weigher that `EVERY`
    /// lacked had no column.
    #[test]
    fn every_weigher_is_at_the_place_of_its_number() {
        let text: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = "x".into_deserializer();
        let message = WeigherName::deserialize(text).unwrap_err().to_string();
        let known: Vec<&str> = message.split('`').filter(|part| part.ends_with("Weigher")).collect();
        assert_eq!(known, WeigherName::EVERY.map(|name| name.to_string()));
    }

    #[test]
    fn all_weighers_are_those_of_nova() {
        let others: Vec<_> =
            WeigherName::EVERY.into_iter().filter(|name| !WeigherName::ALL.contains(name)).collect();
        assert_eq!(others, [WeigherName::LifetimeWeigher]);
    }
}
