//! Cells: `cell_mappings` of the API database.

use uuid::Uuid;

use crate::row::{InvalidRow, Row, TextRow};
use crate::url::{DatabaseUrl, InvalidDatabaseUrl, filled_in};

pub(crate) const COLUMNS: &[&str] = &["uuid", "name", "database_connection", "disabled"];

/// The cell of servers that found no host. It has no hosts.
const CELL0: Uuid = Uuid::nil();

/// A cell with hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) uuid: String,
    pub(crate) name: String,
    pub(crate) url: DatabaseUrl,
}

/// A mapping that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCell {
    /// A column cannot be read.
    #[error(transparent)]
    Row(#[from] InvalidRow),
    /// The URL of its database cannot be used.
    #[error("cell {cell}: database_connection {problem}")]
    Url {
        /// The cell.
        cell: String,
        /// The problem.
        problem: InvalidDatabaseUrl,
    },
}

impl Cell {
    /// Reads a row of [`COLUMNS`]; nothing for cell0 and for cells that are disabled.
    pub(crate) fn read(values: &TextRow, default_url: Option<&str>) -> Result<Option<Self>, InvalidCell> {
        let row = Row::new("cell_mappings", COLUMNS, values);
        let uuid = row.text("uuid")?;
        let parsed =
            Uuid::try_parse(uuid).map_err(|_| row.invalid("uuid", format!("'{uuid}' is no UUID")))?;
        if parsed == CELL0 || row.is_true("disabled") {
            return Ok(None);
        }
        let name = row.get("name").unwrap_or(uuid).to_owned();
        let url = filled_in(row.text("database_connection")?, default_url);
        let url = url.and_then(|url| DatabaseUrl::parse(&url));
        let url = url.map_err(|problem| InvalidCell::Url { cell: name.clone(), problem })?;
        Ok(Some(Self { uuid: uuid.to_owned(), name, url }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(uuid: &str, url: &str, disabled: &str) -> Result<Option<Cell>, InvalidCell> {
        let values = [uuid, "cell1", url, disabled].map(|text| Some(text.to_owned())).to_vec();
        Cell::read(&values, Some("mysql://u:pw@db/nova"))
    }

    #[test]
    fn cell0_and_disabled_cells_are_left_out() {
        let one = "a35c4fb5-6c5c-47fd-b576-3d1d826744e0";
        let read =
            cell(one, "{scheme}://{username}:{password}@h/nova_cell1", "0").expect("reads").expect("a cell");
        assert_eq!((read.url.host.as_str(), read.url.password.as_str()), ("h", "pw"));
        assert_eq!(cell(one, "mysql://h/d", "1").expect("reads"), None);
        assert_eq!(cell("00000000-0000-0000-0000-000000000000", "none:///", "0").expect("reads"), None);
        let error = cell(one, "sqlite://", "0").expect_err("no such database").to_string();
        assert!(error.contains("cell cell1: database_connection"), "{error}");
    }
}
