//! Host cells as hosts report them, and what is checked before they are believed.

use super::{CpuSet, FreeCores, HostCell, HostTopology, NetworkMetadata, Pages};
use serde::Deserialize;

/// A cell as hosts report it.
#[derive(Deserialize)]
pub(super) struct CellRecord {
    id: i64,
    #[serde(default)]
    cpuset: CpuSet,
    #[serde(default)]
    pcpuset: CpuSet,
    memory: i64,
    #[serde(default)]
    cpu_usage: i64,
    #[serde(default)]
    memory_usage: i64,
    #[serde(default)]
    pinned_cpus: CpuSet,
    #[serde(default)]
    siblings: Vec<CpuSet>,
    #[serde(default)]
    mempages: Vec<Pages>,
    #[serde(default)]
    socket: Option<i64>,
    #[serde(default)]
    network_metadata: Option<NetworkMetadata>,
}

/// A host cell that contradicts itself; names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHostCell {
    /// A CPU cannot belong to two cores.
    #[error("siblings: a CPU of {0:?} is in an earlier set, too")]
    SharedSibling(CpuSet),
    /// Pages have a size.
    #[error("mempages: size_kb {0} is not positive")]
    PageSize(i64),
    /// Each size has one entry.
    #[error("mempages: size_kb {0} occurs twice")]
    TwoPools(i64),
    /// Cells are distinguished by number.
    #[error("cells: id {0} occurs twice")]
    TwoCells(i64),
}

impl TryFrom<CellRecord> for HostCell {
    type Error = InvalidHostCell;

    fn try_from(cell: CellRecord) -> Result<Self, InvalidHostCell> {
        check_siblings(&cell.siblings)?;
        check_pages(&cell.mempages)?;
        let free_cores = FreeCores::count(&cell.pcpuset.difference(&cell.pinned_cpus), &cell.siblings);
        Ok(Self {
            id: cell.id,
            cpuset: cell.cpuset,
            pcpuset: cell.pcpuset,
            memory: cell.memory,
            cpu_usage: cell.cpu_usage,
            memory_usage: cell.memory_usage,
            pinned_cpus: cell.pinned_cpus,
            siblings: cell.siblings,
            mempages: cell.mempages,
            socket: cell.socket,
            network_metadata: cell.network_metadata,
            free_cores,
        })
    }
}

fn check_siblings(siblings: &[CpuSet]) -> Result<(), InvalidHostCell> {
    let mut seen = CpuSet::default();
    for core in siblings {
        if seen.intersects(core) {
            return Err(InvalidHostCell::SharedSibling(core.clone()));
        }
        seen.extend_from(core);
    }
    Ok(())
}

fn check_pages(mempages: &[Pages]) -> Result<(), InvalidHostCell> {
    for (at, pages) in mempages.iter().enumerate() {
        if pages.size_kb < 1 {
            return Err(InvalidHostCell::PageSize(pages.size_kb));
        }
        if mempages[..at].iter().any(|other| other.size_kb == pages.size_kb) {
            return Err(InvalidHostCell::TwoPools(pages.size_kb));
        }
    }
    Ok(())
}

/// A topology as hosts report it.
#[derive(Deserialize)]
pub(super) struct TopologyRecord {
    cells: Vec<HostCell>,
}

impl TryFrom<TopologyRecord> for HostTopology {
    type Error = InvalidHostCell;

    fn try_from(record: TopologyRecord) -> Result<Self, InvalidHostCell> {
        Self::new(record.cells)
    }
}

#[cfg(test)]
mod tests {
    use super::HostTopology;

    fn error(cells: &str) -> String {
        let text = format!(r#"{{"cells": [{cells}]}}"#);
        serde_json::from_str::<HostTopology>(&text).expect_err("contradicts itself").to_string()
    }

    #[test]
    fn errors_name_the_field() {
        for (cells, start) in [
            (r#"{"id": 0}"#, "missing field `memory`"),
            (r#"{"id": 0, "memory": 1, "siblings": [[0, 1], [1]]}"#, "siblings: a CPU of {1}"),
            (r#"{"id": 0, "memory": 1, "mempages": [{"size_kb": 0, "total": 1}]}"#, "mempages: size_kb 0"),
            (
                r#"{"id": 0, "memory": 1, "mempages": [{"size_kb": 4, "total": 1}, {"size_kb": 4, "total": 2}]}"#,
                "mempages: size_kb 4 occurs twice",
            ),
            (r#"{"id": 3, "memory": 1}, {"id": 3, "memory": 1}"#, "cells: id 3 occurs twice"),
        ] {
            let error = error(cells);
            assert!(error.starts_with(start), "{error}");
        }
    }
}
