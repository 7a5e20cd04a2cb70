//! Hosts and instances at one moment, for a snapshot of the fleet: what Placement does not have of
//! them.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_scheduler::AggregateRecord;
use serde_json::Value;
use tokio::time::timeout;
use uuid::Uuid;

use crate::aggregates;
use crate::cells::{self, Cell};
use crate::connection::Database;
use crate::reader::DatabaseError;
use crate::row::{InvalidRow, Row, TextRow, list};
use crate::url::DatabaseUrl;

const NODE_COLUMNS: &[&str] = &["host", "hypervisor_hostname", "uuid"];
const SERVICE_COLUMNS: &[&str] = &["host", "disabled"];
const INSTANCE_COLUMNS: &[&str] = &["i.uuid", "i.display_name", "i.created_at", "e.flavor"];
const MEMBER_COLUMNS: &[&str] = &["m.instance_uuid", "g.uuid", "p.policy"];

/// What Nova's databases say of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveRecords {
    /// Compute nodes of all cells.
    pub hosts: Vec<LiveHost>,
    /// Instances that are on a host.
    pub instances: Vec<LiveInstance>,
}

/// A compute node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveHost {
    /// The UUID of its resource provider.
    pub uuid: Uuid,
    /// Its name, which is also that of its resource provider.
    pub node: String,
    /// The metadata of its service's aggregates; `availability_zone` makes its zone.
    pub metadata: Vec<(String, String)>,
    /// Whether its service is disabled.
    pub is_disabled: bool,
}

/// An instance on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveInstance {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its display name.
    pub name: String,
    /// The name of its flavor.
    pub flavor: String,
    /// The extra specs of that.
    pub extra_specs: Vec<(String, String)>,
    /// The UUID of its server group, and the policy of that.
    pub group: Option<(String, String)>,
    /// When it was created, in microseconds since 1970.
    pub created_at_us: u64,
}

/// Reads the API database and those of all its cells. Each has to answer within `patience`. Cells
/// whose URL is a template get the parts of `default_url`.
///
/// # Errors
/// One of them cannot be read: an incomplete fleet would be a wrong start.
pub async fn read_live(
    api: &DatabaseUrl,
    default_url: &str,
    patience: Duration,
) -> Result<LiveRecords, DatabaseError> {
    let api = Database::new(api, patience);
    let (aggregates, groups) =
        in_time(&api, patience, async { Ok((aggregates_of(&api).await?, groups_of(&api).await?)) }).await?;
    let mut live = LiveRecords::default();
    let sql = format!("SELECT {} FROM cell_mappings ORDER BY id", list(cells::COLUMNS));
    for values in api.rows(&sql).await? {
        let Some(cell) = Cell::read(&values, Some(default_url))? else { continue };
        let database = Database::new(&cell.url, patience);
        let of_cell = in_time(&database, patience, read_cell(&database, &aggregates, &groups)).await?;
        live.hosts.extend(of_cell.hosts);
        live.instances.extend(of_cell.instances);
    }
    Ok(live)
}

async fn in_time<T>(
    database: &Database,
    patience: Duration,
    read: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, DatabaseError> {
    timeout(patience, read).await.unwrap_or_else(|_| Err(DatabaseError::Timeout(database.name().to_owned())))
}

async fn aggregates_of(api: &Database) -> Result<Vec<AggregateRecord>, DatabaseError> {
    let aggregates = format!("SELECT {} FROM aggregates ORDER BY id", list(aggregates::COLUMNS));
    let hosts = format!("SELECT {} FROM aggregate_hosts ORDER BY id", list(aggregates::HOST_COLUMNS));
    let (key, value) = (api.quoted("key"), api.quoted("value"));
    let metadata = format!("SELECT aggregate_id, {key}, {value} FROM aggregate_metadata ORDER BY id");
    let rows = (api.rows(&aggregates).await?, api.rows(&hosts).await?, api.rows(&metadata).await?);
    Ok(aggregates::read(&rows.0, &rows.1, &rows.2)?)
}

type Groups = BTreeMap<Uuid, (String, String)>;

async fn groups_of(api: &Database) -> Result<Groups, DatabaseError> {
    let sql = format!(
        "SELECT {} FROM instance_group_member m JOIN instance_groups g ON g.id = m.group_id \
         JOIN instance_group_policy p ON p.group_id = g.id",
        list(MEMBER_COLUMNS)
    );
    Ok(api.rows(&sql).await?.iter().map(member).collect::<Result<_, _>>()?)
}

async fn read_cell(
    cell: &Database,
    aggregates: &[AggregateRecord],
    groups: &Groups,
) -> Result<LiveRecords, DatabaseError> {
    let binary = cell.quoted("binary");
    let services = format!(
        "SELECT {} FROM services WHERE {binary} = 'nova-compute' AND deleted = 0",
        list(SERVICE_COLUMNS)
    );
    let nodes = format!("SELECT {} FROM compute_nodes WHERE deleted = 0", list(NODE_COLUMNS));
    let instances = format!(
        "SELECT {} FROM instances i LEFT JOIN instance_extra e ON e.instance_uuid = i.uuid AND e.deleted = 0 \
         WHERE i.deleted = 0 AND i.host IS NOT NULL",
        list(INSTANCE_COLUMNS)
    );
    let services = cell.rows(&services).await?;
    let disabled: Vec<&str> = services.iter().filter_map(disabled_host).collect();
    let nodes = cell.rows(&nodes).await?;
    let instances = cell.rows(&instances).await?;
    Ok(LiveRecords {
        hosts: nodes.iter().map(|values| host(values, &disabled, aggregates)).collect::<Result<_, _>>()?,
        instances: instances.iter().map(|values| instance(values, groups)).collect::<Result<_, _>>()?,
    })
}

fn disabled_host(values: &TextRow) -> Option<&str> {
    let row = Row::new("services", SERVICE_COLUMNS, values);
    row.is_true("disabled").then(|| row.get("host")).flatten()
}

fn member(values: &TextRow) -> Result<(Uuid, (String, String)), InvalidRow> {
    let row = Row::new("instance_group_member", MEMBER_COLUMNS, values);
    let of = (row.text("g.uuid")?.to_owned(), row.text("p.policy")?.to_owned());
    Ok((uuid(&row, "m.instance_uuid")?, of))
}

fn host(values: &TextRow, disabled: &[&str], aggregates: &[AggregateRecord]) -> Result<LiveHost, InvalidRow> {
    let row = Row::new("compute_nodes", NODE_COLUMNS, values);
    let service = row.text("host")?;
    let own = aggregates.iter().filter(|aggregate| aggregate.hosts.iter().any(|host| host == service));
    Ok(LiveHost {
        uuid: uuid(&row, "uuid")?,
        node: row.text("hypervisor_hostname")?.to_owned(),
        metadata: own.flat_map(|aggregate| aggregate.metadata.clone()).collect(),
        is_disabled: disabled.contains(&service),
    })
}

fn instance(values: &TextRow, groups: &Groups) -> Result<LiveInstance, InvalidRow> {
    let row = Row::new("instances", INSTANCE_COLUMNS, values);
    let uuid = uuid(&row, "i.uuid")?;
    let (flavor, extra_specs) = match row.get("e.flavor") {
        Some(text) => flavor(text).ok_or_else(|| row.invalid("e.flavor", "is no flavor"))?,
        None => Default::default(),
    };
    Ok(LiveInstance {
        uuid,
        name: row.get("i.display_name").unwrap_or_default().to_owned(),
        flavor,
        extra_specs,
        group: groups.get(&uuid).cloned(),
        created_at_us: row.time("i.created_at")?.and_then(|at| at.try_into().ok()).unwrap_or_default(),
    })
}

/// The name and the extra specs of the current flavor, of three that Nova stores as one object.
fn flavor(text: &str) -> Option<(String, Vec<(String, String)>)> {
    let stored: Value = serde_json::from_str(text).ok()?;
    let current = &stored["cur"]["nova_object.data"];
    let specs = current["extra_specs"].as_object().into_iter().flatten();
    let specs = specs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    Some((current["name"].as_str()?.to_owned(), specs.collect()))
}

fn uuid(row: &Row<'_>, column: &'static str) -> Result<Uuid, InvalidRow> {
    let text = row.text(column)?;
    Uuid::try_parse(text).map_err(|_| row.invalid(column, format!("'{text}' is no UUID")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "00000000-0000-0000-0000-000000000001";

    fn row(values: &[Option<&str>]) -> TextRow {
        values.iter().map(|value| value.map(str::to_owned)).collect()
    }

    #[test]
    fn a_host_has_the_metadata_of_its_service() {
        let of = |host: &str, key: &str, value: &str| AggregateRecord {
            hosts: vec![host.to_owned()],
            metadata: [(key.to_owned(), value.to_owned())].into(),
            ..AggregateRecord::default()
        };
        let aggregates = [of("c1", "availability_zone", "az1"), of("c2", "ssd", "true")];
        let services = [row(&[Some("c1"), Some("1")]), row(&[Some("c2"), Some("0")])];
        let disabled: Vec<&str> = services.iter().filter_map(disabled_host).collect();
        let found = host(&row(&[Some("c1"), Some("node-1"), Some(ONE)]), &disabled, &aggregates).unwrap();
        assert_eq!(
            (found.node.as_str(), found.is_disabled, found.uuid),
            ("node-1", true, Uuid::from_u128(1))
        );
        assert_eq!(found.metadata, [("availability_zone".to_owned(), "az1".to_owned())]);
    }

    #[test]
    fn an_instance_has_its_current_flavor_and_its_group() {
        let group = row(&[Some(ONE), Some("g"), Some("anti-affinity")]);
        let groups: Groups = [member(&group).unwrap()].into();
        let object = r#"{"cur": {"nova_object.name": "Flavor", "nova_object.data": {"name": "m1.small", "extra_specs":
            {"hw:cpu_policy": "dedicated"}}}, "old": null, "new": null}"#;
        let found =
            instance(&row(&[Some(ONE), Some("web"), Some("1970-01-01 00:01:00"), Some(object)]), &groups)
                .unwrap();
        let expected = LiveInstance {
            uuid: Uuid::from_u128(1),
            name: "web".to_owned(),
            flavor: "m1.small".to_owned(),
            extra_specs: vec![("hw:cpu_policy".to_owned(), "dedicated".to_owned())],
            group: Some(("g".to_owned(), "anti-affinity".to_owned())),
            created_at_us: 60_000_000,
        };
        assert_eq!(found, expected);
        let bare = instance(&row(&[Some(ONE), None, None, None]), &Groups::new()).unwrap();
        assert_eq!(bare, LiveInstance { uuid: Uuid::from_u128(1), ..LiveInstance::default() });
        let error = instance(&row(&[Some(ONE), None, None, Some("{}")]), &groups).unwrap_err();
        assert_eq!(error.to_string(), "instances.e.flavor: is no flavor");
    }
}
