//! One reading of a cell: what has changed since the one before.
//!
//! The work of a reading follows the changes, not the number of hosts. The database itself judges
//! which services are down, and sums up the times at which compute nodes were written, a bucket of
//! [`BUCKET`] rows at a time; rows are listed only where sums have changed, and read only where
//! their own times have. Rows that may be written again with the same time are compared by digests.

use std::collections::{BTreeMap, BTreeSet};

use crate::buckets::{self, BUCKET, Sums};
use crate::cell_hosts::{BucketRead, CellHosts, CellRead, ServicesRead};
use crate::compute_node::{self, NodeRow};
use crate::connection::Database;
use crate::reader::{AT_ONCE, CellDatabase, DatabaseError, Reader, summaries};
use crate::row::{InvalidRow, Row, TextRow, list, number};
use crate::service::{self, ServiceRow};
use crate::statistics::ReadStatistics;

const TABLE: &str = "compute_nodes";

const SUMMARY: &[&str] = &["count", "last", "oldest"];

impl Reader {
    /// Reads the hosts of a cell, as of a time in microseconds since 1970.
    pub(crate) async fn hosts_of(&self, cell: &CellDatabase, began: i64) -> Result<CellRead, DatabaseError> {
        let database = &cell.database;
        let services = self.services_of(cell, began);
        let unsettled = self.hosts.of_cell(&cell.cell.uuid, CellHosts::unsettled);
        let ((summary, oldest, services), sums, digests) =
            tokio::try_join!(services, sums(database), digests(database, &unsettled))?;
        let changed = self.hosts.of_cell(&cell.cell.uuid, |known| known.changed_buckets(&sums));
        let listed = listed(database, &changed).await?;
        ReadStatistics::add(&self.statistics.listed, listed.len());
        let mut outdated = self.hosts.of_cell(&cell.cell.uuid, |known| known.outdated(&listed));
        let mut buckets: BTreeMap<i64, BucketRead> = changed
            .into_iter()
            .map(|first| (first, BucketRead { first, sums: sums.get(&first).cloned(), ids: BTreeSet::new() }))
            .collect();
        for (id, _) in listed {
            if let Some((_, bucket)) = buckets.range_mut(..=id).next_back() {
                bucket.ids.insert(id);
            }
        }
        let buckets = buckets.into_values().collect();
        let (mut same, nodes, unreadable) = (Vec::new(), Vec::new(), Vec::new());
        for (id, digest) in digests {
            if !self.hosts.of_cell(&cell.cell.uuid, |known| known.is_same(id, &digest)) {
                outdated.insert(id);
            } else if !outdated.contains(&id) {
                same.push(id);
            }
        }
        let mut read = CellRead { began, summary, oldest, services, buckets, nodes, same, unreadable };
        let outdated: Vec<i64> = outdated.into_iter().collect();
        for chunk in outdated.chunks(AT_ONCE) {
            self.nodes_of(cell, chunk, &mut read).await?;
        }
        Ok(read)
    }

    /// Counts of the services, the version of the oldest, and those that are not available; all of
    /// them, where others are known.
    async fn services_of(
        &self,
        cell: &CellDatabase,
        began: i64,
    ) -> Result<(TextRow, Option<i64>, ServicesRead), DatabaseError> {
        let database = &cell.database;
        let compute = format!("{} = 'nova-compute' AND deleted = 0", database.quoted("binary"));
        let summary = format!("SELECT COUNT(*), MAX(id), MIN(version) FROM services WHERE {compute}");
        let select = format!("SELECT {} FROM services WHERE {compute}", list(service::COLUMNS));
        let unavailable = service::unavailable(began, self.hosts.down_after());
        let some = format!("{select} AND {unavailable}");
        let [summary, mut rows] = database.results([&summary, &some]).await?;
        let summary = summary.into_iter().next().unwrap_or_default();
        let oldest = Row::new("services", SUMMARY, &summary).integer("oldest")?;
        let are_known = self.hosts.of_cell(&cell.cell.uuid, |known| known.has_services(&summary));
        if !are_known {
            rows = database.rows(&select).await?;
        }
        ReadStatistics::add(&self.statistics.services, rows.len());
        let rows = rows.iter().map(ServiceRow::read).collect::<Result<_, InvalidRow>>()?;
        let services = if are_known { ServicesRead::Same(rows) } else { ServicesRead::All(rows) };
        Ok((summary, oldest, services))
    }

    /// Reads compute nodes by their numbers.
    async fn nodes_of(
        &self,
        cell: &CellDatabase,
        ids: &[i64],
        read: &mut CellRead,
    ) -> Result<(), DatabaseError> {
        let uuid = &cell.cell.uuid;
        let sql = format!(
            "SELECT {}, {} FROM compute_nodes WHERE deleted = 0 AND id IN ({})",
            list(compute_node::COLUMNS),
            compute_node::digest(),
            numbers(ids)
        );
        let rows = cell.database.rows(&sql).await?;
        ReadStatistics::add(&self.statistics.compute_nodes, rows.len());
        for mut values in rows {
            let (digest, id) = (values.pop().flatten().unwrap_or_default(), number(TABLE, &values)?);
            match NodeRow::read(&values, uuid) {
                Ok(node) => read.nodes.push((digest, node)),
                Err(error) => {
                    tracing::error!(cell = cell.cell.name, %error, node = ?values.get(4), "a compute node is left out");
                    read.unreadable.push(id);
                }
            }
        }
        Ok(())
    }
}

/// The sums of all buckets of compute nodes, by the first number of each. They differ when a row is
/// added, deleted or written at another time: the second sum weighs the rows of a bucket
/// differently, so that times that go forward and back do not cancel each other out.
async fn sums(database: &Database) -> Result<Sums, DatabaseError> {
    let written = database.ordinal("updated_at");
    let sql = format!(
        "SELECT id - id % {BUCKET} AS bucket, COUNT(*), MAX(id), COUNT(updated_at), SUM({written}), \
         SUM({written} * (id % {BUCKET} + 1)) FROM compute_nodes WHERE deleted = 0 GROUP BY bucket"
    );
    summaries(database, TABLE, &sql).await
}

/// Number and digest of these compute nodes.
async fn digests(database: &Database, ids: &[i64]) -> Result<Vec<(i64, String)>, DatabaseError> {
    let mut digests = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(AT_ONCE) {
        let sql = format!(
            "SELECT id, {} FROM compute_nodes WHERE deleted = 0 AND id IN ({})",
            compute_node::digest(),
            numbers(chunk)
        );
        digests.extend(summaries::<Vec<_>>(database, TABLE, &sql).await?);
    }
    Ok(digests)
}

/// Numbers as a list of SQL.
fn numbers(ids: &[i64]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Number and time of the compute nodes of these buckets, whose first numbers are in ascending
/// order.
async fn listed(database: &Database, buckets: &[i64]) -> Result<Vec<(i64, Option<String>)>, DatabaseError> {
    let mut listed = Vec::new();
    for condition in buckets::conditions(buckets) {
        let sql = format!("SELECT id, updated_at FROM compute_nodes WHERE deleted = 0 AND {condition}");
        for row in database.rows(&sql).await? {
            let id = number(TABLE, &row)?;
            listed.push((id, row.into_iter().nth(1).flatten()));
        }
    }
    Ok(listed)
}
