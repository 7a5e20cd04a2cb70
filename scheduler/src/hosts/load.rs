//! From records to columns, by Nova's rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::class::{ClassReport, HostClass, Ratio, Ratios};
use super::record::{HostRecord, MetricRecord, ServiceRecord};
use super::{HostRow, HostTable, Node, ServiceHost, UsageRow};
use crate::aggregates::{AggregateMetadata, AggregateRecord};
use crate::options::GeneralOptions;
use crate::pci::Pools;
use crate::python::{NotANumber, Value, integer_64, nearest_64};
use crate::request_spec::{architecture, hypervisor_type, vm_mode};
use crate::time::micros;

/// A host that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("host {host}, node {node}: {field}: {problem}")]
pub struct HostLoadError {
    /// Service host.
    pub host: String,
    /// Compute node.
    pub node: String,
    /// The field.
    pub field: String,
    /// The problem.
    pub problem: String,
}

/// A field with its problem.
pub(super) struct FieldError {
    field: String,
    problem: String,
}

impl FieldError {
    fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }

    pub(super) fn of(self, record: &HostRecord) -> HostLoadError {
        let (host, node) = (record.host.clone(), record.node.clone());
        HostLoadError { host, node, field: self.field, problem: self.problem }
    }
}

impl HostTable {
    /// The hosts of these records, in this order.
    ///
    /// `now` (microseconds since 1970) stands in for times that a service record lacks.
    ///
    /// # Errors
    ///
    /// [`HostLoadError`] for the first record that cannot be read.
    pub fn load(
        records: &[HostRecord],
        aggregates: &[AggregateRecord],
        options: &GeneralOptions,
        now: i64,
    ) -> Result<Self, HostLoadError> {
        let mut table = Self::default();
        let mut metadata = MetadataByHost::new(aggregates);
        for record in records {
            table.push(record, metadata.of(&record.host), options, now).map_err(|error| error.of(record))?;
        }
        Ok(table)
    }

    fn push(
        &mut self,
        record: &HostRecord,
        aggregates: Arc<AggregateMetadata>,
        options: &GeneralOptions,
        now: i64,
    ) -> Result<(), FieldError> {
        let service = self.add_service(record, now)?;
        let (node, usage) = node_and_usage(record)?;
        let report = record.free_disk_gb.map(|_| class_report(record, options));
        let class = HostClass { cell_uuid: record.cell_uuid.as_str().into(), aggregates, report };
        #[expect(clippy::cast_possible_truncation, reason = "rows are 32 bits wide")]
        let row = HostRow(self.len() as u32);
        if let Some(uuid) = node.uuid {
            self.row_by_uuid.insert(uuid, row);
        }
        self.class.push(self.classes.intern(class));
        self.service.push(service);
        self.rows_of_service[service as usize].push(row);
        self.usage.push(usage);
        self.nodes.push(node);
        Ok(())
    }

    /// Nodes of one service host share it; the last record about it counts, instances add up.
    fn add_service(&mut self, record: &HostRecord, now: i64) -> Result<u32, FieldError> {
        let mut service = service_host(&record.host, &record.service, now)?;
        #[expect(clippy::cast_possible_truncation, reason = "there are no more services than rows")]
        let next = self.services.len() as u32;
        let id = *self.service_by_name.entry(record.host.clone()).or_insert(next);
        if let Some(known) = self.services.get_mut(id as usize) {
            service.instances = std::mem::take(&mut known.instances);
            *known = service;
        } else {
            self.services.push(service);
            self.rows_of_service.push(SmallVec::new());
        }
        for instance in &record.instances {
            self.add_instance(id, instance.uuid, instance.image_properties.clone());
        }
        Ok(id)
    }
}

/// Merged metadata, once for each combination of aggregates.
pub(super) struct MetadataByHost<'a> {
    aggregates: &'a [AggregateRecord],
    of_host: FxHashMap<&'a str, Vec<usize>>,
    merged: BTreeMap<Vec<usize>, Arc<AggregateMetadata>>,
}

impl<'a> MetadataByHost<'a> {
    pub(super) fn new(aggregates: &'a [AggregateRecord]) -> Self {
        let mut of_host: FxHashMap<&str, Vec<usize>> = FxHashMap::default();
        for (at, host) in
            aggregates.iter().enumerate().flat_map(|(at, one)| one.hosts.iter().map(move |host| (at, host)))
        {
            let list = of_host.entry(host).or_default();
            if list.last() != Some(&at) {
                list.push(at);
            }
        }
        Self { aggregates, of_host, merged: BTreeMap::new() }
    }

    pub(super) fn of(&mut self, host: &str) -> Arc<AggregateMetadata> {
        let list = self.of_host.get(host).cloned().unwrap_or_default();
        let aggregates = self.aggregates;
        let merge =
            |list: &Vec<usize>| Arc::new(AggregateMetadata::merged(list.iter().map(|&at| &aggregates[at])));
        Arc::clone(self.merged.entry(list).or_insert_with_key(merge))
    }
}

pub(super) fn service_host(name: &str, record: &ServiceRecord, now: i64) -> Result<ServiceHost, FieldError> {
    let time = |field: &str, text: &str| {
        micros(text).ok_or_else(|| {
            FieldError::new(field, format!("'{text}' is not a time such as 2026-06-01T00:00:00"))
        })
    };
    let created = record.created_at.as_deref().map_or(Ok(now), |text| time("service.created_at", text))?;
    let last_seen = match &record.last_seen_up {
        None => now,
        Some(None) => created,
        Some(Some(text)) => time("service.last_seen_up", text)?,
    };
    Ok(ServiceHost {
        name: name.to_owned(),
        disabled: record.disabled,
        disabled_reason: record.disabled_reason.clone(),
        forced_down: record.forced_down,
        last_seen,
        instances: BTreeMap::new(),
    })
}

pub(super) fn node_and_usage(record: &HostRecord) -> Result<(Node, UsageRow), FieldError> {
    let Some(free_gb) = record.free_disk_gb else {
        let name = record.node.clone();
        let silent =
            Node { name, uuid: None, host_ip: None, stats: None, metrics: None, numa: None, pools: None };
        return Ok((silent, UsageRow::default()));
    };
    let stats = text_stats(&record.stats)?;
    let usage = UsageRow {
        free_ram_mb: record.free_ram_mb,
        free_disk_mb: mebibytes(record.disk_available_least.map_or(free_gb, |least| least.min(free_gb))),
        disk_mb_used: mebibytes(record.local_gb_used),
        vcpus_used: record.vcpus_used,
        num_instances: counter(&record.stats, "num_instances")?,
        num_io_ops: counter(&record.stats, "io_workload")?,
        failed_builds: counter(&record.stats, "failed_builds")?,
    };
    let node = Node {
        name: record.node.clone(),
        uuid: Some(record.uuid),
        host_ip: Some(record.host_ip.clone()),
        stats: Some(stats),
        metrics: Some(metrics(&record.metrics)?),
        numa: record.numa_topology.clone(),
        pools: Some(record.pci_pools.clone().unwrap_or_else(|| Pools::from(Vec::new()))),
    };
    Ok((node, usage))
}

pub(super) const fn mebibytes(gibibytes: i64) -> i64 {
    gibibytes.saturating_mul(1024)
}

/// Nova keeps stats as texts, and filters compare their texts.
fn text_stats(stats: &Value) -> Result<Value, FieldError> {
    let as_text = |(key, value): &(String, Value)| {
        let value = match value {
            Value::None => Value::None,
            other => Value::Text(other.to_string()),
        };
        (key.clone(), value)
    };
    match stats {
        Value::None => Ok(Value::Map(Vec::new())),
        Value::Map(entries) => Ok(Value::Map(entries.iter().map(as_text).collect())),
        _ => Err(FieldError::new("stats", "is not a map")),
    }
}

/// A number, or the text of one.
fn counter(stats: &Value, name: &str) -> Result<i64, FieldError> {
    let invalid = |NotANumber(text): NotANumber| {
        FieldError::new(format!("stats.{name}"), format!("'{text}' is not a whole number"))
    };
    match stats.get(name) {
        None => Ok(0),
        Some(Value::Int(count)) => Ok(nearest_64(*count)),
        Some(value) => integer_64(&value.to_string()).map_err(invalid),
    }
}

/// Shares of CPU time, which are reported between 0 and 1 and kept in hundredths.
const IN_HUNDREDTHS: [&str; 5] =
    ["cpu.user.percent", "cpu.kernel.percent", "cpu.idle.percent", "cpu.iowait.percent", "cpu.percent"];

fn metrics(records: &[MetricRecord]) -> Result<BTreeMap<String, Option<i64>>, FieldError> {
    let read = |record: &MetricRecord| Ok((record.name.clone(), metric(record)?));
    records.iter().map(read).collect()
}

/// The number Nova keeps: hundredths and fractions are cut off, so that 0.57 becomes 56.
fn metric(record: &MetricRecord) -> Result<Option<i64>, FieldError> {
    let percent = IN_HUNDREDTHS.contains(&record.name.as_str());
    let invalid =
        || FieldError::new(format!("metrics.{}", record.name), format!("'{}' is not a number", record.value));
    #[expect(clippy::cast_possible_truncation, reason = "int() truncates")]
    match &record.value {
        Value::None => Ok(None),
        Value::Int(number) => {
            Ok(Some(nearest_64(if percent { number.saturating_mul(100) } else { *number })))
        }
        Value::Float(number) if number.is_finite() => {
            Ok(Some(if percent { number * 100.0 } else { *number } as i64))
        }
        Value::Text(text) if !percent => integer_64(text).map(Some).map_err(|_| invalid()),
        _ => Err(invalid()),
    }
}

pub(super) fn class_report(record: &HostRecord, options: &GeneralOptions) -> ClassReport {
    ClassReport {
        hypervisor_type: record.hypervisor_type.clone(),
        hypervisor_version: record.hypervisor_version,
        cpu_info: record.cpu_info.clone(),
        supported_instances: record.supported_instances.iter().map(canonical).collect(),
        vcpus_total: record.vcpus,
        total_usable_ram_mb: record.memory_mb,
        total_usable_disk_gb: record.local_gb,
        ratios: ratios(record, options),
    }
}

/// A ratio that a host does not report is the configured one.
fn ratios(record: &HostRecord, options: &GeneralOptions) -> Ratios {
    let given = |ratio: Option<f64>| ratio.filter(|ratio| *ratio != 0.0);
    let ratio =
        |reported, configured, initial| Ratio::new(given(reported).or(given(configured)).unwrap_or(initial));
    Ratios {
        cpu: ratio(
            record.cpu_allocation_ratio,
            options.cpu_allocation_ratio,
            options.initial_cpu_allocation_ratio,
        ),
        ram: ratio(
            record.ram_allocation_ratio,
            options.ram_allocation_ratio,
            options.initial_ram_allocation_ratio,
        ),
        disk: ratio(
            record.disk_allocation_ratio,
            options.disk_allocation_ratio,
            options.initial_disk_allocation_ratio,
        ),
    }
}

/// Usual spellings; names that Nova does not know stay as they are.
fn canonical([arch, hypervisor, mode]: &[String; 3]) -> [String; 3] {
    [
        architecture(arch).map_or_else(|| arch.to_lowercase(), str::to_owned),
        hypervisor_type(hypervisor).map_or_else(|| hypervisor.to_lowercase(), str::to_owned),
        vm_mode(mode).map_or_else(|| mode.to_lowercase(), str::to_owned),
    ]
}
