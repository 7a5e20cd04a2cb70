//! Rows as texts.
//!
//! Both kinds of servers answer simple queries in text, whatever the types of the columns. So one
//! reader serves both, and tests need no server.

use berth_scheduler::time::micros;

/// One row: a text for each column, or NULL.
pub type TextRow = Vec<Option<String>>;

/// A value that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{table}.{column}: {problem}")]
pub struct InvalidRow {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// The problem.
    pub problem: String,
}

/// The number of a row of this table, which is its first column.
pub(crate) fn number(table: &'static str, values: &[Option<String>]) -> Result<i64, InvalidRow> {
    let row = Row::new(table, &["id"], values);
    row.integer("id")?.ok_or_else(|| row.invalid("id", "is NULL"))
}

/// A row with the names of its columns.
pub(crate) struct Row<'a> {
    table: &'static str,
    columns: &'static [&'static str],
    values: &'a [Option<String>],
}

impl<'a> Row<'a> {
    pub(crate) const fn new(
        table: &'static str,
        columns: &'static [&'static str],
        values: &'a [Option<String>],
    ) -> Self {
        Self { table, columns, values }
    }

    pub(crate) fn invalid(&self, column: &'static str, problem: impl Into<String>) -> InvalidRow {
        InvalidRow { table: self.table, column, problem: problem.into() }
    }

    /// The text of a column, unless it is NULL.
    pub(crate) fn get(&self, column: &'static str) -> Option<&'a str> {
        let at = self.columns.iter().position(|name| *name == column);
        self.values.get(at.expect("the column is read"))?.as_deref()
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<&'a str, InvalidRow> {
        self.get(column).ok_or_else(|| self.invalid(column, "is NULL"))
    }

    pub(crate) fn integer(&self, column: &'static str) -> Result<Option<i64>, InvalidRow> {
        let read = |text: &str| {
            text.parse().map_err(|_| self.invalid(column, format!("'{text}' is no whole number")))
        };
        self.get(column).map(read).transpose()
    }

    pub(crate) fn number(&self, column: &'static str) -> Result<Option<f64>, InvalidRow> {
        let read =
            |text: &str| text.parse().map_err(|_| self.invalid(column, format!("'{text}' is no number")));
        self.get(column).map(read).transpose()
    }

    /// Whether a column is true: `1` in MySQL, `t` in PostgreSQL.
    pub(crate) fn is_true(&self, column: &'static str) -> bool {
        matches!(self.get(column), Some("1" | "t" | "true"))
    }

    /// A time in microseconds since 1970.
    pub(crate) fn time(&self, column: &'static str) -> Result<Option<i64>, InvalidRow> {
        let read =
            |text: &str| micros(text).ok_or_else(|| self.invalid(column, format!("'{text}' is no time")));
        self.get(column).map(read).transpose()
    }
}

/// The columns for a query. Names that are reserved are quoted by the caller.
pub(crate) fn list(columns: &[&str]) -> String {
    columns.join(", ")
}
