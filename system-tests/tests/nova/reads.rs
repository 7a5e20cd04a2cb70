//! What a reading of a cell costs: it follows the changes, not the number of hosts and instances.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use berth_nova_database::{DatabaseOptions, DatabaseUrl, NovaHosts, ReadStatistics, Reader};
use berth_scheduler::decider::HostSource;
use berth_scheduler::hosts::HostRecord;
use berth_system_tests::resources::cpu_time;
use berth_test_support::mariadb::MariaDb;

/// Hosts of the cell; more than a bucket of them.
const HOSTS: u64 = 1_000;

/// Rows of one range that is summed up at a time, at most.
const BUCKET: u64 = 128;

struct Cell {
    mariadb: MariaDb,
    reader: Reader,
    hosts: Arc<NovaHosts>,
    statistics: Arc<ReadStatistics>,
}

/// The rows that a reading transferred.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    services: u64,
    listed: u64,
    nodes: u64,
}

impl Cell {
    fn start() -> Option<Self> {
        Self::with_instances(0)
    }

    /// A cell with so many instances, numbered by their UUIDs, which are spread over its hosts.
    fn with_instances(count: u64) -> Option<Self> {
        let Some(mariadb) = MariaDb::start() else {
            berth_test_support::skip::skip("MariaDB is not installed");
            return None;
        };
        mariadb.execute(include_str!("schema.sql"));
        let port = mariadb.port();
        mariadb.execute(&format!(
            "INSERT INTO nova_api.cell_mappings (uuid, name, database_connection) VALUES \
             ('00000000-0000-0000-0000-0000000000c1', 'cell1', 'mysql://berth:secret@127.0.0.1:{port}/nova_cell1'); \
             USE nova_cell1; \
             INSERT INTO services (created_at, host, `binary`, topic, last_seen_up, version) \
             SELECT UTC_TIMESTAMP(), CONCAT('c', seq), 'nova-compute', 'compute', UTC_TIMESTAMP(), 74 FROM seq_1_to_{HOSTS}; \
             INSERT INTO compute_nodes (updated_at, uuid, host, hypervisor_hostname, vcpus, memory_mb, local_gb) \
             SELECT UTC_TIMESTAMP() - INTERVAL 1 HOUR, UUID(), CONCAT('c', seq), CONCAT('c', seq), 8, 4096, 100 \
             FROM seq_1_to_{HOSTS};"
        ));
        if count > 0 {
            mariadb.execute(&format!(
                "USE nova_cell1; INSERT INTO instances (uuid, host, node) SELECT {}, CONCAT('c', seq % {HOSTS} + 1), \
                 CONCAT('c', seq % {HOSTS} + 1) FROM seq_1_to_{count}; ANALYZE TABLE instances;",
                uuid_of("seq")
            ));
        }
        let url = format!("mysql://berth:secret@127.0.0.1:{port}/nova_api");
        let options = DatabaseOptions {
            api: DatabaseUrl::parse(&url).expect("a URL"),
            default_url: None,
            cell_timeout: Duration::from_secs(60),
            clock,
        };
        let (hosts, statistics) = (Arc::new(NovaHosts::new(36_000)), Arc::<ReadStatistics>::default());
        let reader = Reader::new(options, Arc::clone(&hosts), Arc::clone(&statistics));
        Some(Self { mariadb, reader, hosts, statistics })
    }

    fn count(&self, name: &str) -> u64 {
        self.statistics.counts().iter().find(|(known, _)| *known == name).expect("is counted").1
    }

    /// Changes the cell's database; returns what the next reading costs.
    async fn after(&self, statement: &str) -> Cost {
        self.mariadb.execute(&format!("USE nova_cell1; {statement};"));
        let names = ["service_rows", "listed_compute_nodes", "compute_node_rows"];
        let before = names.map(|name| self.count(name));
        self.reader.refresh(&BTreeSet::new()).await;
        let [services, listed, nodes] = std::array::from_fn(|at| self.count(names[at]) - before[at]);
        Cost { services, listed, nodes }
    }

    /// Changes the cell's database; returns how many rows the next reading of instances transfers.
    async fn instances_after(&self, statement: &str) -> u64 {
        self.mariadb.execute(&format!("USE nova_cell1; {statement};"));
        let before = self.count("instance_rows");
        self.reader.read_instances().await;
        self.count("instance_rows") - before
    }

    /// The numbers of the instances that are known to be on a host, below a limit.
    fn instances_on(&self, host: &str, below: u128) -> Vec<u128> {
        let all = self.host(host).instances.into_iter().map(|instance| instance.uuid.as_u128());
        all.filter(|number| *number < below).collect()
    }

    fn host(&self, name: &str) -> HostRecord {
        self.hosts.some(&[name.to_owned()].into()).into_iter().next().expect("a host")
    }
}

fn clock() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(now.as_micros()).expect("before the year 200,000")
}

/// The UUID that is this number, as SQL.
fn uuid_of(number: &str) -> String {
    format!("CONCAT('00000000-0000-0000-0000-', LPAD(HEX({number}), 12, '0'))")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_changed_instances_are_read() {
    instances_follow(2_000).await;
}

/// The same with 100,000 instances: prints the rows and the CPU time of a reading.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "100,000 instances, and CPU times that only an idle machine shows"]
async fn only_changed_instances_of_100_000_are_read() {
    instances_follow(100_000).await;
}

async fn instances_follow(count: u64) {
    let Some(cell) = Cell::with_instances(count) else { return };
    cell.reader.start().await.expect("reads");
    assert_eq!((cell.count("instance_rows"), cell.hosts.counts().instances as u64), (count, count));
    let spent = CpuTimes::of(&cell.mariadb);
    assert_eq!(cell.instances_after("SELECT 1").await, 0);
    eprintln!("a reading of {count} instances without changes: 0 instances, {}", spent.until_now());

    // Instances 7 and 8 are on hosts of their own, and change places; 9 is deleted.
    let below = 1_000;
    assert_eq!((cell.instances_on("c8", below), cell.instances_on("c9", below)), (vec![7], vec![8]));
    let moved = format!(
        "UPDATE instances SET host = IF(uuid = {}, 'c9', 'c8') WHERE uuid IN ({0}, {})",
        uuid_of("7"),
        uuid_of("8")
    );
    let rows = cell.instances_after(&moved).await;
    assert!(rows > 0 && rows <= BUCKET, "{rows}");
    assert_eq!((cell.instances_on("c8", below), cell.instances_on("c9", below)), (vec![8], vec![7]));
    let deleted = format!("UPDATE instances SET deleted = id WHERE uuid = {}", uuid_of("9"));
    assert!(cell.instances_after(&deleted).await < BUCKET);
    assert_eq!(cell.instances_on("c10", below), [0_u128; 0]);

    // Boots: one that has no host yet, and one that has.
    let number = |of: u64| uuid_of(&(count + of).to_string());
    let added =
        format!("INSERT INTO instances (uuid, host) VALUES ({}, NULL), ({}, 'c10')", number(1), number(2));
    assert!(cell.instances_after(&added).await <= BUCKET);
    assert_eq!(cell.hosts.counts().instances as u64, count);
    assert_eq!(cell.instances_after("SELECT 1").await, 0);

    // A cast that contradicts the database counts until the next reading.
    cell.hosts.delete_instance("c9", uuid::Uuid::from_u128(7));
    assert_eq!(cell.instances_on("c9", below), [0_u128; 0]);
    assert_eq!(cell.instances_after("SELECT 1").await, 1);
    assert_eq!(cell.instances_on("c9", below), [7]);

    // A boot every few seconds, all over the table.
    let spent = CpuTimes::of(&cell.mariadb);
    let spread = format!("UPDATE instances SET host = 'c10' WHERE id % {} = 0", count / 20);
    let rows = cell.instances_after(&spread).await;
    assert!(rows <= 21 * BUCKET, "{rows}");
    eprintln!("a reading with 20 changes: {rows} instances, {}", spent.until_now());
}

/// CPU times of this process and of the database server.
struct CpuTimes<'a> {
    mariadb: &'a MariaDb,
    at: [Duration; 2],
}

impl<'a> CpuTimes<'a> {
    fn of(mariadb: &'a MariaDb) -> Self {
        let processes = [std::process::id(), mariadb.process_id()];
        Self { mariadb, at: processes.map(cpu_time) }
    }

    /// The times since then, in words.
    fn until_now(&self) -> String {
        let now = Self::of(self.mariadb).at;
        format!("CPU time of the reader {:?}, of MariaDB {:?}", now[0] - self.at[0], now[1] - self.at[1])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_changes_are_read() {
    let Some(cell) = Cell::start() else { return };
    cell.reader.start().await.expect("reads");
    assert_eq!((cell.hosts.all().0.len() as u64, cell.count("compute_node_rows")), (HOSTS, HOSTS));
    let none = Cost { services: 0, listed: 0, nodes: 0 };
    assert_eq!(cell.after("SELECT 1").await, none);
    let heartbeats = "UPDATE services SET last_seen_up = UTC_TIMESTAMP(), updated_at = UTC_TIMESTAMP(), \
                      report_count = report_count + 1";
    assert_eq!(cell.after(heartbeats).await, none);

    // A service is disabled, another one is down; both come back.
    let disabled = "UPDATE services SET disabled = 1, disabled_reason = 'maintenance' WHERE host = 'c7'";
    assert_eq!(cell.after(disabled).await, Cost { services: 1, ..none });
    assert_eq!(cell.host("c7").service.disabled_reason.as_deref(), Some("maintenance"));
    let down = "UPDATE services SET last_seen_up = UTC_TIMESTAMP() - INTERVAL 36010 SECOND WHERE host = 'c8'";
    assert_eq!(cell.after(down).await, Cost { services: 2, ..none });
    assert!(cell.host("c8").service.forced_down);
    let back = "UPDATE services SET disabled = 0, last_seen_up = UTC_TIMESTAMP() WHERE host IN ('c7', 'c8')";
    assert_eq!(cell.after(back).await, none);
    assert!(!cell.host("c7").service.disabled && !cell.host("c8").service.forced_down);

    // A node is written, and again with the same time.
    let written = |used: u32| {
        format!(
            "UPDATE compute_nodes SET vcpus_used = {used}, updated_at = '2026-11-30 01:00:00' WHERE host = 'c9'"
        )
    };
    let cost = cell.after(&written(3)).await;
    assert_eq!((cost.services, cost.nodes, cell.host("c9").vcpus_used), (0, 1, 3));
    assert!(cost.listed > 0 && cost.listed <= BUCKET, "{cost:?}");
    let now = "UPDATE compute_nodes SET vcpus_used = 4, updated_at = UTC_TIMESTAMP() WHERE host = 'c9'";
    assert_eq!((cell.after(now).await.nodes, cell.host("c9").vcpus_used), (1, 4));
    let same_time = "UPDATE compute_nodes SET vcpus_used = 5 WHERE host = 'c9'";
    assert_eq!(cell.after(same_time).await, Cost { nodes: 1, ..none });
    assert_eq!(cell.host("c9").vcpus_used, 5);

    // Hosts go and come.
    let deleted = "UPDATE compute_nodes SET deleted = id WHERE host = 'c10'";
    assert!(cell.after(deleted).await.listed <= BUCKET);
    assert_eq!(cell.hosts.all().0.len() as u64, HOSTS - 1);
    let all = cell.after("UPDATE services SET deleted = id WHERE host = 'c11'").await;
    assert_eq!((all.services, cell.hosts.all().0.len() as u64), (HOSTS - 1, HOSTS - 2));
    let added = "INSERT INTO services (created_at, host, `binary`, topic, last_seen_up, version) VALUES \
                 (UTC_TIMESTAMP(), 'c11', 'nova-compute', 'compute', UTC_TIMESTAMP(), 74)";
    assert_eq!((cell.after(added).await.services, cell.host("c11").vcpus), (HOSTS, 8));
}
