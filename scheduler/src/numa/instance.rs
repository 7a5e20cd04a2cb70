//! The requested virtual NUMA cells of an instance.

use super::CpuSet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// Whether vCPUs float over the shared CPUs of a host or are pinned to dedicated ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuPolicy {
    /// All float.
    #[default]
    Shared,
    /// All are pinned.
    Dedicated,
    /// The vCPUs of `pcpuset` are pinned.
    Mixed,
}

impl CpuPolicy {
    /// Whether some vCPUs may be pinned.
    #[must_use]
    pub(crate) const fn pins(self) -> bool {
        matches!(self, Self::Dedicated | Self::Mixed)
    }

    /// Whether some vCPUs may float.
    #[must_use]
    pub const fn shares(self) -> bool {
        matches!(self, Self::Shared | Self::Mixed)
    }
}

/// How pinned vCPUs use the threads of a physical core.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuThreadPolicy {
    /// Siblings if there are enough, any threads otherwise.
    #[default]
    Prefer,
    /// One vCPU to a core, whose other threads stay unused.
    Isolate,
    /// Siblings only.
    Require,
}

/// The CPUs of the hypervisor's own threads for an instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EmulatorThreadsPolicy {
    /// Together with the vCPUs or on shared CPUs: costs nothing here.
    #[default]
    Share,
    /// On one dedicated CPU beside the first cell's.
    Isolate,
}

/// Size of the memory pages that back a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum PageSize {
    /// Nothing was asked for.
    #[default]
    Unset,
    /// The smallest size of the host cell.
    Small,
    /// Any size but the smallest, the largest first.
    Large,
    /// Any size, the largest first.
    Any,
    /// Exactly this many KiB.
    Kib(i64),
}

impl PageSize {
    /// Nova's number for it: `None` or 0 unset, -1 small, -2 large, -3 any, else KiB.
    ///
    /// # Errors
    /// The number itself if it means nothing.
    pub(crate) const fn from_number(number: Option<i64>) -> Result<Self, i64> {
        match number {
            None | Some(0) => Ok(Self::Unset),
            Some(-1) => Ok(Self::Small),
            Some(-2) => Ok(Self::Large),
            Some(-3) => Ok(Self::Any),
            Some(kib) if kib > 0 => Ok(Self::Kib(kib)),
            Some(other) => Err(other),
        }
    }

    /// The inverse of `PageSize::from_number`.
    #[must_use]
    pub const fn number(self) -> Option<i64> {
        match self {
            Self::Unset => None,
            Self::Small => Some(-1),
            Self::Large => Some(-2),
            Self::Any => Some(-3),
            Self::Kib(kib) => Some(kib),
        }
    }
}

impl<'de> Deserialize<'de> for PageSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_number(Option::deserialize(deserializer)?).map_err(|number| {
            serde::de::Error::custom(format_args!(
                "pagesize {number} is neither KiB nor -1 (small), -2 (large), -3 (any)"
            ))
        })
    }
}

impl Serialize for PageSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.number().serialize(serializer)
    }
}

/// One virtual NUMA cell of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct InstanceCell {
    /// The cell's number; after fitting, that of the host cell it is on.
    pub id: i64,
    /// vCPUs that float over the host cell's shared CPUs.
    #[serde(default)]
    pub cpuset: CpuSet,
    /// vCPUs that are pinned to dedicated CPUs.
    #[serde(default)]
    pub pcpuset: CpuSet,
    /// Memory in MiB.
    pub memory: i64,
    /// Size of its pages.
    #[serde(default)]
    pub pagesize: PageSize,
    /// Shared or dedicated CPUs.
    #[serde(default, deserialize_with = "or_default")]
    pub cpu_policy: CpuPolicy,
    /// Threads of cores.
    #[serde(default, deserialize_with = "or_default")]
    pub cpu_thread_policy: CpuThreadPolicy,
    /// After fitting: the host CPU of each pinned vCPU.
    #[serde(default, rename = "cpu_pinning_raw", deserialize_with = "or_default")]
    pub cpu_pinning: BTreeMap<u32, u32>,
    /// After fitting: host CPUs for the hypervisor's own threads.
    #[serde(default, deserialize_with = "or_default")]
    pub cpuset_reserved: CpuSet,
}

/// The virtual NUMA cells of an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct InstanceTopology {
    /// In the order of the instance's cells.
    pub cells: Vec<InstanceCell>,
    /// The CPUs of the hypervisor's own threads.
    #[serde(default, deserialize_with = "or_default")]
    pub emulator_threads_policy: EmulatorThreadsPolicy,
}

/// `null` means the default, as an absent field does.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_are_defaults() {
        let text = r#"{"cells": [{"id": 0, "cpuset": [0, 1], "pcpuset": [], "memory": 512, "pagesize": null,
            "cpu_policy": null, "cpu_thread_policy": null}], "emulator_threads_policy": null}"#;
        let topology: InstanceTopology = serde_json::from_str(text).expect("parses");
        let cell = &topology.cells[0];
        assert_eq!((cell.cpu_policy, cell.cpu_thread_policy), (CpuPolicy::Shared, CpuThreadPolicy::Prefer));
        assert_eq!((cell.pagesize, cell.cpuset.len()), (PageSize::Unset, 2));
    }

    #[test]
    fn errors_name_the_field() {
        let missing = serde_json::from_str::<InstanceTopology>(r#"{"cells": [{"id": 0}]}"#);
        assert!(missing.expect_err("no memory").to_string().contains("`memory`"));
        let page = serde_json::from_str::<InstanceCell>(r#"{"id": 0, "memory": 1, "pagesize": -4}"#);
        assert!(page.expect_err("no such size").to_string().contains("pagesize -4"));
    }
}
