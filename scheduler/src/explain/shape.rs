//! Kinds of hosts, as people would order one more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hosts::{HostRow, HostTable};

/// The properties of a kind of hosts.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct HostModel {
    /// Such as `QEMU`.
    pub hypervisor_type: String,
    /// CPUs.
    pub vcpus: i64,
    /// MiB.
    pub memory_mb: i64,
    /// GiB.
    pub disk_gb: i64,
    /// The metadata of the aggregates of such hosts, by key.
    pub aggregates: BTreeMap<String, BTreeSet<String>>,
    /// How many such hosts there are.
    pub hosts: usize,
}

impl HostModel {
    /// The shape of a row; none if it has never reported.
    pub(super) fn of(hosts: &HostTable, row: HostRow) -> Option<Self> {
        let class = hosts.class(row);
        let report = class.report.as_ref()?;
        let id = hosts.class_ids()[row.0 as usize];
        Some(Self {
            hypervisor_type: report.hypervisor_type.clone(),
            vcpus: report.vcpus_total,
            memory_mb: report.total_usable_ram_mb,
            disk_gb: report.total_usable_disk_gb,
            aggregates: class
                .aggregates
                .iter()
                .map(|(key, values)| (key.to_owned(), values.clone()))
                .collect(),
            hosts: hosts.class_ids().iter().filter(|other| **other == id).count(),
        })
    }
}

impl fmt::Display for HostModel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hypervisor_type, vcpus, memory_mb, disk_gb, aggregates, hosts } = self;
        write!(out, "one more {hypervisor_type} host with {vcpus} CPUs, {memory_mb} MiB, {disk_gb} GiB")?;
        for (key, values) in aggregates {
            write!(out, ", {key}={}", values.iter().map(String::as_str).collect::<Vec<_>>().join("|"))?;
        }
        write!(out, " ({hosts} today)")
    }
}
