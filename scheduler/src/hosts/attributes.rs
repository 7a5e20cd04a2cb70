//! Host attributes by the names that users write in extra specs and JSON queries.

use super::{ClassReport, HostRow, HostTable, Ratio};
use crate::python::Value;

/// How far an attribute reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All hosts of a class have the same value.
    Class,
    /// Hosts differ.
    Host,
}

/// Attributes that all hosts of a class share.
const OF_THE_CLASS: [&str; 11] = [
    "total_usable_ram_mb",
    "total_usable_disk_gb",
    "vcpus_total",
    "hypervisor_type",
    "hypervisor_version",
    "cpu_info",
    "supported_instances",
    "ram_allocation_ratio",
    "cpu_allocation_ratio",
    "disk_allocation_ratio",
    "cell_uuid",
];

/// Attributes that differ from host to host.
const OF_THE_HOST: [&str; 25] = [
    "host",
    "nodename",
    "uuid",
    "disk_mb_used",
    "free_ram_mb",
    "free_disk_mb",
    "vcpus_used",
    "pci_stats",
    "numa_topology",
    "num_instances",
    "num_io_ops",
    "failed_builds",
    "host_ip",
    "hypervisor_hostname",
    "limits",
    "metrics",
    "aggregates",
    "instances",
    "updated",
    "allocation_candidates",
    "stats",
    "service",
    "_lock_name",
    "update",
    "consume_from_request",
];

/// How far the attribute reaches; none if hosts have no attribute of this name.
#[must_use]
pub fn reach(name: &str) -> Option<Reach> {
    if OF_THE_CLASS.contains(&name) {
        Some(Reach::Class)
    } else if OF_THE_HOST.contains(&name) {
        Some(Reach::Host)
    } else {
        None
    }
}

impl HostTable {
    /// An attribute of a host. None if there is no such attribute, or if the host has not reported
    /// it. Objects that have no use in a comparison (NUMA cells, devices, metrics, aggregates) are
    /// an empty list or stand for themselves.
    #[must_use]
    pub fn attribute(&self, row: HostRow, name: &str) -> Option<Value> {
        let usage = self.usage.row(row);
        Some(match name {
            "host" => Value::from(self.host(row)),
            "nodename" => Value::from(self.node(row)),
            "uuid" => Value::Text(self.uuid(row)?.to_string()),
            "free_ram_mb" => usage.free_ram_mb.into(),
            "free_disk_mb" => usage.free_disk_mb.into(),
            "disk_mb_used" => usage.disk_mb_used.into(),
            "vcpus_used" => usage.vcpus_used.into(),
            "num_instances" => usage.num_instances.into(),
            "num_io_ops" => usage.num_io_ops.into(),
            "failed_builds" => usage.failed_builds.into(),
            "host_ip" => Value::from(self.host_ip(row)?),
            "hypervisor_hostname" => self.uuid(row).map(|_| Value::from(self.node(row)))?,
            "cell_uuid" => Value::from(&*self.class(row).cell_uuid),
            "_lock_name" => Value::Text(format!("{}-{}", self.host(row), self.node(row))),
            "limits" => Value::Map(Vec::new()),
            "stats" => self.stats(row)?.clone(),
            "service" => self.service_attributes(row),
            "instances" if self.service(row).instances.is_empty() => Value::Map(Vec::new()),
            "aggregates" if self.class(row).aggregates.is_empty() => Value::List(Vec::new()),
            "numa_topology" => self.numa(row).map(|_| opaque(name))?,
            "metrics" | "pci_stats" => self.stats(row).map(|_| opaque(name))?,
            "instances" | "aggregates" | "allocation_candidates" | "update" | "consume_from_request" => {
                opaque(name)
            }
            "total_usable_ram_mb" | "total_usable_disk_gb" | "vcpus_total" if self.report(row).is_none() => {
                Value::Int(0)
            }
            other => reported(self.report(row)?, other)?,
        })
    }

    fn service_attributes(&self, row: HostRow) -> Value {
        let service = self.service(row);
        let reason = service.disabled_reason.as_deref().map_or(Value::None, Value::from);
        let entries = [
            ("host", Value::from(service.name.as_str())),
            ("binary", Value::from("nova-compute")),
            ("topic", Value::from("compute")),
            ("disabled", Value::Bool(service.disabled)),
            ("disabled_reason", reason),
            ("forced_down", Value::Bool(service.forced_down)),
        ];
        Value::map(entries.map(|(key, value)| (key.to_owned(), value)))
    }
}

fn reported(report: &ClassReport, name: &str) -> Option<Value> {
    let ratio = |ratio: Ratio| Value::from(ratio.get());
    Some(match name {
        "total_usable_ram_mb" => report.total_usable_ram_mb.into(),
        "total_usable_disk_gb" => report.total_usable_disk_gb.into(),
        "vcpus_total" => report.vcpus_total.into(),
        "hypervisor_type" => Value::from(report.hypervisor_type.as_str()),
        "hypervisor_version" => report.hypervisor_version.into(),
        "cpu_info" => report.cpu_info.as_ref()?.value(),
        "supported_instances" => Value::List(report.supported_instances.iter().map(triple).collect()),
        "ram_allocation_ratio" => ratio(report.ratios.ram),
        "cpu_allocation_ratio" => ratio(report.ratios.cpu),
        "disk_allocation_ratio" => ratio(report.ratios.disk),
        _ => return None,
    })
}

/// An object whose text no filter relies on.
fn opaque(name: &str) -> Value {
    Value::Text(format!("<{name}>"))
}

fn triple(names: &[String; 3]) -> Value {
    Value::List(names.iter().map(|name| Value::from(name.as_str())).collect())
}
