//! Compute nodes: `compute_nodes` of a cell.

use berth_scheduler::HostTable;
use berth_scheduler::hosts::{CpuInfo, HostRecord, MetricRecord};
use berth_scheduler::numa::HostTopology;
use berth_scheduler::options::GeneralOptions;
use berth_scheduler::pci::Pools;
use berth_scheduler::python::Value;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::row::{InvalidRow, Row, TextRow};

/// The columns that are read of each node.
pub(crate) const COLUMNS: &[&str] = &[
    "id",
    "updated_at",
    "uuid",
    "host",
    "hypervisor_hostname",
    "vcpus",
    "memory_mb",
    "local_gb",
    "vcpus_used",
    "memory_mb_used",
    "local_gb_used",
    "hypervisor_type",
    "hypervisor_version",
    "cpu_info",
    "disk_available_least",
    "free_ram_mb",
    "free_disk_gb",
    "host_ip",
    "supported_instances",
    "pci_stats",
    "metrics",
    "stats",
    "numa_topology",
    "ram_allocation_ratio",
    "cpu_allocation_ratio",
    "disk_allocation_ratio",
];

/// What the database computes of these columns of a row: another text if one of them is another.
pub(crate) fn digest() -> String {
    let columns = COLUMNS.iter().map(|column| format!("{column} IS NULL, {column}"));
    format!("MD5(CONCAT_WS(',', {}))", columns.collect::<Vec<_>>().join(", "))
}

/// A compute node as it was read.
#[derive(Debug, Clone)]
pub(crate) struct NodeRow {
    /// The number of the row.
    pub(crate) id: i64,
    /// When it was written last, as the database says.
    pub(crate) updated_at: Option<String>,
    /// Its facts about the host, without service and instances.
    pub(crate) record: HostRecord,
}

impl NodeRow {
    /// Reads a row of [`COLUMNS`].
    ///
    /// # Errors
    /// [`InvalidRow`]
    pub(crate) fn read(values: &TextRow, cell: &str) -> Result<Self, InvalidRow> {
        let row = Row::new("compute_nodes", COLUMNS, values);
        let uuid = row.text("uuid")?;
        let uuid = Uuid::try_parse(uuid).map_err(|_| row.invalid("uuid", format!("'{uuid}' is no UUID")))?;
        let mut record = HostRecord::new(row.text("host")?, row.text("hypervisor_hostname")?, uuid);
        let integer = |column| row.integer(column).map(Option::unwrap_or_default);
        cell.clone_into(&mut record.cell_uuid);
        record.vcpus = integer("vcpus")?;
        record.memory_mb = integer("memory_mb")?;
        record.local_gb = integer("local_gb")?;
        record.vcpus_used = integer("vcpus_used")?;
        record.memory_mb_used = integer("memory_mb_used")?;
        record.local_gb_used = integer("local_gb_used")?;
        record.free_ram_mb = integer("free_ram_mb")?;
        record.free_disk_gb = row.integer("free_disk_gb")?;
        record.disk_available_least = row.integer("disk_available_least")?;
        row.get("hypervisor_type").unwrap_or_default().clone_into(&mut record.hypervisor_type);
        record.hypervisor_version = integer("hypervisor_version")?;
        row.get("host_ip").unwrap_or_default().clone_into(&mut record.host_ip);
        record.cpu_info = row.get("cpu_info").map(CpuInfo::of_text);
        record.cpu_allocation_ratio = row.number("cpu_allocation_ratio")?;
        record.ram_allocation_ratio = row.number("ram_allocation_ratio")?;
        record.disk_allocation_ratio = row.number("disk_allocation_ratio")?;
        record.supported_instances = json(&row, "supported_instances")?.unwrap_or_default();
        record.stats = json(&row, "stats")?.unwrap_or_default();
        record.metrics = json::<Vec<MetricRecord>>(&row, "metrics")?.unwrap_or_default();
        record.numa_topology = object::<HostTopology>(&row, "numa_topology")?;
        record.pci_pools = pools(&row)?;
        // One host that cannot be read must not stand in the way of all others.
        HostTable::load(std::slice::from_ref(&record), &[], &GeneralOptions::default(), 0)
            .map_err(|error| row.invalid("stats", error.to_string()))?;
        let id = row.integer("id")?.ok_or_else(|| row.invalid("id", "is NULL"))?;
        Ok(Self { id, updated_at: row.get("updated_at").map(str::to_owned), record })
    }
}

/// JSON of a column; none if it is NULL or empty.
fn json<T: DeserializeOwned>(row: &Row<'_>, column: &'static str) -> Result<Option<T>, InvalidRow> {
    let Some(text) = row.get(column).filter(|text| !text.is_empty() && *text != "null") else {
        return Ok(None);
    };
    serde_json::from_str(text).map(Some).map_err(|error| row.invalid(column, error.to_string()))
}

/// A versioned object of a column.
fn object<T: DeserializeOwned>(row: &Row<'_>, column: &'static str) -> Result<Option<T>, InvalidRow> {
    let Some(value) = json::<serde_json::Value>(row, column)? else { return Ok(None) };
    serde_json::from_value(plain(value)).map(Some).map_err(|error| row.invalid(column, error.to_string()))
}

/// Pools of devices. Their tags are fields like the others.
fn pools(row: &Row<'_>) -> Result<Option<Pools>, InvalidRow> {
    let Some(value) = json::<serde_json::Value>(row, "pci_stats")? else { return Ok(None) };
    let list = match plain(value) {
        serde_json::Value::Object(mut list) => list.remove("objects").unwrap_or_default(),
        list => list,
    };
    let serde_json::Value::Array(mut pools) = list else {
        return Err(row.invalid("pci_stats", "is no list of pools"));
    };
    for pool in &mut pools {
        if let Some(fields) = pool.as_object_mut()
            && let Some(serde_json::Value::Object(tags)) = fields.remove("tags")
        {
            fields.extend(tags);
        }
    }
    let pools = serde_json::from_value(serde_json::Value::Array(pools));
    pools.map(Some).map_err(|error| row.invalid("pci_stats", error.to_string()))
}

/// A versioned object, and those in it, as its data.
fn plain(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Json::Object(mut fields) => match fields.remove("nova_object.data") {
            Some(data) => plain(data),
            None => Json::Object(fields.into_iter().map(|(key, value)| (key, plain(value))).collect()),
        },
        Json::Array(items) => Json::Array(items.into_iter().map(plain).collect()),
        other => other,
    }
}

/// Adds to a counter that a host reports among its stats.
pub(crate) fn add_to_stat(stats: &mut Value, name: &str, more: i128) {
    let Value::Map(entries) = stats else {
        if matches!(stats, Value::None) {
            *stats = Value::Map(vec![(name.to_owned(), Value::Int(more))]);
        }
        return;
    };
    match entries.iter_mut().find(|(key, _)| key == name) {
        Some((_, Value::Int(count))) => *count += more,
        Some((_, Value::Text(text))) => {
            if let Ok(count) = text.trim().parse::<i128>() {
                *text = (count + more).to_string();
            }
        }
        Some(_) => {}
        None => entries.push((name.to_owned(), Value::Int(more))),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A row as MariaDB gives it.
    pub(crate) fn row(id: i64, host: &str) -> TextRow {
        let uuid = Uuid::from_u128(id.unsigned_abs().into()).to_string();
        let id = id.to_string();
        let value = |column: &str| match column {
            "id" => Some(id.as_str()),
            "uuid" => Some(uuid.as_str()),
            "updated_at" => Some("2026-11-30 01:35:12"),
            "host" | "hypervisor_hostname" => Some(host),
            "vcpus" => Some("10"),
            "memory_mb" | "free_ram_mb" => Some("8192"),
            "local_gb" | "free_disk_gb" => Some("1000"),
            "hypervisor_type" => Some("fake"),
            "hypervisor_version" => Some("1000"),
            "cpu_info" => Some("{\"arch\": \"x86_64\"}"),
            "host_ip" => Some("127.0.0.1"),
            "supported_instances" => Some("[[\"x86_64\", \"fake\", \"hvm\"]]"),
            "pci_stats" => Some(
                "{\"nova_object.name\": \"PciDevicePoolList\", \"nova_object.data\": {\"objects\": [{\"nova_object.name\": \
                 \"PciDevicePool\", \"nova_object.data\": {\"product_id\": \"1515\", \"vendor_id\": \"8086\", \"numa_node\": \
                 1, \"tags\": {\"dev_type\": \"type-VF\", \"physical_network\": null}, \"count\": 3}}]}}",
            ),
            "metrics" => Some("[]"),
            "stats" => Some("{\"failed_builds\": \"0\", \"num_instances\": \"2\", \"io_workload\": 1}"),
            "numa_topology" => Some(
                "{\"nova_object.name\": \"NUMATopology\", \"nova_object.data\": {\"cells\": [{\"nova_object.name\": \
                 \"NUMACell\", \"nova_object.data\": {\"id\": 0, \"cpuset\": [0, 1], \"pcpuset\": [2], \"memory\": 4096, \
                 \"cpu_usage\": 1, \"memory_usage\": 512, \"mempages\": [{\"nova_object.name\": \"NUMAPagesTopology\", \
                 \"nova_object.data\": {\"size_kb\": 4, \"total\": 1024, \"used\": 0, \"reserved\": 0}}], \"pinned_cpus\": [], \
                 \"siblings\": [[0], [1]], \"socket\": null}}]}}",
            ),
            "cpu_allocation_ratio" => Some("4"),
            "ram_allocation_ratio" => Some("1"),
            "disk_allocation_ratio" | "disk_available_least" => None,
            _ => Some("0"),
        };
        COLUMNS.iter().map(|column| value(column).map(str::to_owned)).collect()
    }

    #[test]
    fn a_row_is_read() {
        let NodeRow { id, record, .. } = NodeRow::read(&row(7, "c1"), "cell").expect("reads");
        assert_eq!((id, record.host.as_str(), record.cell_uuid.as_str()), (7, "c1", "cell"));
        assert_eq!(
            (record.vcpus, record.cpu_allocation_ratio, record.disk_allocation_ratio),
            (10, Some(4.0), None)
        );
        let cells = record.numa_topology.expect("has cells");
        assert_eq!(cells.cells()[0].mempages()[0].total, 1024);
        let pools = record.pci_pools.expect("has devices");
        let pool = &pools.as_slice()[0];
        assert_eq!((pool.count(), pool.numa_node(), pool.tag("dev_type")), (3, Some(1), Some("type-VF")));
        assert_eq!(record.stats.get("num_instances"), Some(&Value::from("2")));
    }

    #[test]
    fn errors_name_table_and_column() {
        for (column, text) in [
            ("uuid", "x"),
            ("vcpus", "many"),
            ("stats", "{"),
            ("stats", "{\"num_instances\": \"many\"}"),
            ("numa_topology", "{\"cells\": 1}"),
        ] {
            let mut values = row(7, "c1");
            values[COLUMNS.iter().position(|name| *name == column).expect("a column")] =
                Some(text.to_owned());
            let error = NodeRow::read(&values, "cell").expect_err("is refused").to_string();
            assert!(error.starts_with(&format!("compute_nodes.{column}: ")), "{error}");
        }
    }

    #[test]
    fn counters_are_texts_or_numbers() {
        let mut stats = NodeRow::read(&row(7, "c1"), "cell").expect("reads").record.stats;
        for name in ["num_instances", "io_workload", "other"] {
            add_to_stat(&mut stats, name, 2);
        }
        let values =
            ["num_instances", "io_workload", "other"].map(|name| stats.get(name).map(ToString::to_string));
        assert_eq!(values, [Some("4".to_owned()), Some("3".to_owned()), Some("2".to_owned())]);
    }
}
