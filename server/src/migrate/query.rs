//! The query that prints a Placement database, in the dialects of the databases that Placement runs
//! on.

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// MySQL or MariaDB.
    Mysql,
    /// PostgreSQL.
    Postgresql,
    /// SQLite, from 3.38 on.
    Sqlite,
}

/// The printed data: the name of a row, its columns, and their tables. `{…}` differs from dialect
/// to dialect.
const SELECTS: [(&str, &str, &str); 9] = [
    ("class", "id, name, {created_at}", "resource_classes ORDER BY id"),
    ("trait", "id, name, {created_at}", "traits ORDER BY id"),
    (
        "provider",
        "id, uuid, name, generation, parent_provider_id, {changed_at}",
        "resource_providers ORDER BY id",
    ),
    (
        "inventory",
        "resource_provider_id, resource_class_id, total, reserved, min_unit, max_unit, step_size, {ratio}",
        "inventories ORDER BY resource_provider_id, resource_class_id",
    ),
    (
        "provider_trait",
        "resource_provider_id, trait_id",
        "resource_provider_traits ORDER BY resource_provider_id, trait_id",
    ),
    (
        "provider_aggregate",
        "m.resource_provider_id, a.uuid",
        "resource_provider_aggregates m LEFT JOIN placement_aggregates a ON a.id = m.aggregate_id \
         ORDER BY m.resource_provider_id, a.uuid",
    ),
    (
        "consumer",
        "c.uuid, p.external_id, u.external_id, t.name, c.generation, {c.changed_at}",
        "consumers c LEFT JOIN projects p ON p.id = c.project_id LEFT JOIN users u ON u.id = c.user_id \
         LEFT JOIN consumer_types t ON t.id = c.consumer_type_id ORDER BY c.id",
    ),
    (
        "allocation",
        "consumer_id, resource_provider_id, resource_class_id, used",
        "allocations ORDER BY consumer_id, id",
    ),
    ("end", "{counts}", ""),
];

/// Each row's name with the table that has one row for each.
pub(super) const COUNTED: [(&str, &str); 8] = [
    ("class", "resource_classes"),
    ("trait", "traits"),
    ("provider", "resource_providers"),
    ("inventory", "inventories"),
    ("provider_trait", "resource_provider_traits"),
    ("provider_aggregate", "resource_provider_aggregates"),
    ("consumer", "consumers"),
    ("allocation", "allocations"),
];

impl Dialect {
    /// The query. It only reads, in one transaction, and ends with the number of rows of every
    /// table.
    #[must_use]
    pub fn query(self) -> String {
        let counts: Vec<String> =
            COUNTED.iter().map(|(_, table)| format!("(SELECT COUNT(*) FROM {table})")).collect();
        let mut script = format!("{}\n", self.begin());
        for (row, columns, from) in SELECTS {
            let columns = columns
                .replace("{created_at}", &self.time("created_at"))
                .replace("{changed_at}", &self.time("COALESCE(updated_at, created_at)"))
                .replace("{c.changed_at}", &self.time("COALESCE(c.updated_at, c.created_at)"))
                .replace("{ratio}", self.ratio())
                .replace("{counts}", &counts.join(", "));
            let from = if from.is_empty() { String::new() } else { format!(" FROM {from}") };
            script += &format!("SELECT {}('{row}', {columns}){from};\n", self.array());
        }
        script + "COMMIT;\n"
    }

    /// Begins a read-only transaction in which all queries see the same snapshot.
    const fn begin(self) -> &'static str {
        match self {
            Self::Mysql => {
                "SET NAMES utf8mb4;\nSET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;\n\
                 START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;"
            }
            Self::Postgresql => {
                "\\set QUIET on\nSET client_encoding = 'UTF8';\n\
                 BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
            }
            Self::Sqlite => "BEGIN;",
        }
    }

    const fn array(self) -> &'static str {
        match self {
            Self::Mysql => "JSON_ARRAY",
            Self::Postgresql => "json_build_array",
            Self::Sqlite => "json_array",
        }
    }

    fn time(self, column: &str) -> String {
        match self {
            Self::Mysql => format!("CAST({column} AS CHAR)"),
            Self::Postgresql | Self::Sqlite => column.to_owned(),
        }
    }

    /// The allocation ratio, with the digits that Placement itself sees.
    const fn ratio(self) -> &'static str {
        match self {
            // MySQL keeps 4 bytes; made a double, 1.1 would become 1.100000023841858.
            Self::Mysql => "CAST(allocation_ratio AS CHAR)",
            Self::Postgresql => "allocation_ratio",
            // SQLite's JSON has 15 digits only.
            Self::Sqlite => "printf('%!.17g', allocation_ratio)",
        }
    }
}
