//! New compute hosts are mapped to their cells, as nova-scheduler does where its nova.conf asks for
//! it.

use crate::connection::DatabaseQueryError;
use crate::reader::{CellDatabase, DatabaseError, Reader};
use crate::row::{InvalidRow, Row, TextRow};

const COLUMNS: &[&str] = &["id", "host"];

impl Reader {
    /// Maps the hosts of compute nodes that no cell maps yet, in all cells that are up; returns
    /// their names. Several schedulers may do so at once.
    ///
    /// # Errors
    /// [`DatabaseError`] of the first cell that cannot be searched; the others are.
    pub async fn discover_hosts(&self) -> Result<Vec<String>, DatabaseError> {
        let (cells, _) = self.cells_up().await;
        let (mut mapped, mut problem) = (Vec::new(), None);
        for cell in &cells {
            if let Err(error) = self.discover_hosts_of(cell, &mut mapped).await {
                problem.get_or_insert(error);
            }
        }
        problem.map_or(Ok(mapped), Err)
    }

    async fn discover_hosts_of(
        &self,
        cell: &CellDatabase,
        mapped: &mut Vec<String>,
    ) -> Result<(), DatabaseError> {
        let unmapped = "SELECT id, host FROM compute_nodes WHERE deleted = 0 AND mapped = 0";
        for values in cell.database.rows(unmapped).await? {
            let (id, host) = node(&values)?;
            if self.map(&host, &cell.cell.uuid).await? {
                // As Nova does; `nova-manage cell_v2 delete_host` resets it.
                let sql = format!("UPDATE compute_nodes SET mapped = 1 WHERE id = {id}");
                cell.database.execute(&sql, &[]).await?;
                mapped.push(host);
            }
        }
        Ok(())
    }

    /// Maps a host to a cell; returns whether it was not mapped before.
    async fn map(&self, host: &str, cell: &str) -> Result<bool, DatabaseQueryError> {
        let api = self.api();
        let sql = format!(
            "INSERT INTO host_mappings (created_at, host, cell_id) SELECT {now}, ?, id FROM cell_mappings \
             WHERE uuid = ? AND NOT EXISTS (SELECT 1 FROM host_mappings WHERE host = ?)",
            now = api.now()
        );
        match api.execute(&sql, &[host, cell, host]).await {
            Ok(rows) => Ok(rows > 0),
            // Another scheduler was faster.
            Err(error) if error.is_duplicate() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn node(values: &TextRow) -> Result<(i64, String), InvalidRow> {
    let row = Row::new("compute_nodes", COLUMNS, values);
    let id = row.integer("id")?.ok_or_else(|| row.invalid("id", "is NULL"))?;
    Ok((id, row.text("host")?.to_owned()))
}
