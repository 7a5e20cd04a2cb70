//! The servers of Nova's databases, and the rows of hosts.

use berth_test_support::mariadb::MariaDb;
use berth_test_support::postgres::Postgres;
use berth_test_support::skip::skip;
use uuid::Uuid;

/// A server with the tables of Nova, and a user `berth` with the documented grants.
pub(crate) enum Databases {
    MariaDb(MariaDb),
    Postgres(Postgres),
}

impl Databases {
    /// Starts MariaDB; nothing where it is not installed.
    pub(crate) fn mariadb() -> Option<Self> {
        let Some(mariadb) = MariaDb::start() else {
            skip("MariaDB is not installed");
            return None;
        };
        mariadb.execute(include_str!("schema.sql"));
        Some(Self::MariaDb(mariadb))
    }

    /// Starts PostgreSQL; nothing where it is not installed.
    pub(crate) fn postgres() -> Option<Self> {
        let Some(postgres) = Postgres::start() else {
            skip("PostgreSQL is not installed");
            return None;
        };
        postgres.execute("postgres", include_str!("schema-postgres.sql"));
        Some(Self::Postgres(postgres))
    }

    /// The URL of a database, as `nova.conf` has it.
    pub(crate) fn url(&self, database: &str) -> String {
        let (scheme, port) = match self {
            Self::MariaDb(mariadb) => ("mysql+pymysql", mariadb.port()),
            Self::Postgres(postgres) => ("postgresql+psycopg2", postgres.port()),
        };
        format!("{scheme}://berth:secret@127.0.0.1:{port}/{database}")
    }

    /// Executes statements in a database as the administrator. Names that are reserved are in
    /// backticks, whatever the server is.
    pub(crate) fn execute(&self, database: &str, statements: &str) {
        match self {
            Self::MariaDb(mariadb) => mariadb.execute(&format!("USE {database}; {statements}")),
            Self::Postgres(postgres) => postgres.execute(database, &of_postgres(statements)),
        }
    }

    /// The first column of the first row.
    pub(crate) fn value(&self, database: &str, query: &str) -> String {
        match self {
            Self::MariaDb(mariadb) => mariadb.value(&format!("USE {database}; {query}")),
            Self::Postgres(postgres) => postgres.value(database, &of_postgres(query)),
        }
    }

    /// Kills the server.
    pub(crate) fn kill(&mut self) {
        match self {
            Self::MariaDb(mariadb) => mariadb.kill(),
            Self::Postgres(postgres) => postgres.kill(),
        }
    }

    /// Starts the server again, with what it kept.
    pub(crate) fn start_server(&mut self) {
        match self {
            Self::MariaDb(mariadb) => mariadb.start_server(),
            Self::Postgres(postgres) => postgres.start_server(),
        }
    }

    /// Maps a cell whose database is on some server.
    pub(crate) fn map_cell(&self, uuid: Uuid, name: &str, url: &str) {
        let cell = format!(
            "INSERT INTO cell_mappings (uuid, name, database_connection) VALUES ('{uuid}', '{name}', '{url}')"
        );
        self.execute("nova_api", &cell);
    }

    /// Adds a service and a compute node to the cell.
    pub(crate) fn add_host(&self, host: &str, uuid: Uuid, vcpus: u64) {
        self.execute(
            "nova_cell1",
            &format!(
                "INSERT INTO services (created_at, host, `binary`, topic, last_seen_up, version) VALUES \
                 (UTC_TIMESTAMP(), '{host}', 'nova-compute', 'compute', UTC_TIMESTAMP(), 74); \
                 INSERT INTO compute_nodes (updated_at, uuid, host, hypervisor_hostname, vcpus, memory_mb, local_gb, \
                 hypervisor_type, hypervisor_version, cpu_info, free_ram_mb, free_disk_gb, host_ip, supported_instances, \
                 stats, cpu_allocation_ratio, ram_allocation_ratio, disk_allocation_ratio) VALUES (UTC_TIMESTAMP(), \
                 '{uuid}', '{host}', '{host}', {vcpus}, 4096, 100, 'QEMU', 8000000, '{{}}', 4096, 100, '127.0.0.1', \
                 '[[\"x86_64\", \"kvm\", \"hvm\"]]', '{{\"num_instances\": \"0\", \"failed_builds\": \"0\"}}', 1, 1, 1); "
            ),
        );
    }
}

/// The statements in the dialect of PostgreSQL.
fn of_postgres(statements: &str) -> String {
    statements.replace('`', "\"").replace("UTC_TIMESTAMP()", "(now() AT TIME ZONE 'UTC')")
}
