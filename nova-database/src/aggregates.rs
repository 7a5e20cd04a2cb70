//! Host aggregates: `aggregates`, `aggregate_hosts` and `aggregate_metadata` of the API database.

use std::collections::BTreeMap;

use berth_scheduler::AggregateRecord;
use uuid::Uuid;

use crate::row::{InvalidRow, Row, TextRow};

pub(crate) const COLUMNS: &[&str] = &["id", "uuid", "name"];
pub(crate) const HOST_COLUMNS: &[&str] = &["aggregate_id", "host"];
pub(crate) const METADATA_COLUMNS: &[&str] = &["aggregate_id", "key", "value"];

/// All aggregates with their hosts and metadata.
pub(crate) fn read(
    aggregates: &[TextRow],
    hosts: &[TextRow],
    metadata: &[TextRow],
) -> Result<Vec<AggregateRecord>, InvalidRow> {
    let mut by_id: BTreeMap<u64, AggregateRecord> = BTreeMap::new();
    for values in aggregates {
        let row = Row::new("aggregates", COLUMNS, values);
        let id = number(&row, "id")?;
        let uuid =
            row.get("uuid").map(|text| Uuid::try_parse(text).map_err(|_| row.invalid("uuid", "is no UUID")));
        let (uuid, name) = (uuid.transpose()?, row.get("name").map(str::to_owned));
        by_id.insert(id, AggregateRecord { id, uuid, name, ..AggregateRecord::default() });
    }
    for values in hosts {
        let row = Row::new("aggregate_hosts", HOST_COLUMNS, values);
        if let Some(aggregate) = by_id.get_mut(&number(&row, "aggregate_id")?) {
            aggregate.hosts.push(row.text("host")?.to_owned());
        }
    }
    for values in metadata {
        let row = Row::new("aggregate_metadata", METADATA_COLUMNS, values);
        if let Some(aggregate) = by_id.get_mut(&number(&row, "aggregate_id")?) {
            aggregate.metadata.insert(row.text("key")?.to_owned(), row.text("value")?.to_owned());
        }
    }
    Ok(by_id.into_values().collect())
}

fn number(row: &Row<'_>, column: &'static str) -> Result<u64, InvalidRow> {
    let number = row.integer(column)?.and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| row.invalid(column, "is no number of an aggregate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<const N: usize>(rows: &[[&str; N]]) -> Vec<TextRow> {
        rows.iter().map(|row| row.iter().map(|text| Some((*text).to_owned())).collect()).collect()
    }

    const UUID: &str = "10000000-0000-4000-8000-000000000001";

    #[test]
    fn hosts_and_metadata_join_their_aggregate() {
        let aggregates = read(
            &rows(&[["1", UUID, "ssd"], ["2", UUID, "zone"]]),
            &rows(&[["1", "c1"], ["2", "c1"], ["1", "c2"], ["9", "c3"]]),
            &rows(&[["1", "disk", "ssd"], ["2", "availability_zone", "az1"]]),
        )
        .expect("reads");
        assert_eq!(aggregates[0].hosts, ["c1", "c2"]);
        assert_eq!(aggregates[1].metadata.get("availability_zone").map(String::as_str), Some("az1"));
        assert_eq!(aggregates.len(), 2);
    }

    #[test]
    fn an_aggregate_has_a_uuid_or_none() {
        let named = |uuid: Option<&str>| {
            let row = [Some("1"), uuid, Some("ssd")];
            read(&[row.iter().map(|text| text.map(str::to_owned)).collect()], &[], &[])
        };
        assert_eq!(named(Some(UUID)).expect("reads")[0].uuid, Some(UUID.parse().expect("a UUID")));
        assert_eq!(named(None).expect("reads")[0].uuid, None);
        let error = named(Some("u1")).expect_err("no UUID");
        assert!(error.to_string().contains("uuid"), "{error}");
    }
}
