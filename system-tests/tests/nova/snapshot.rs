//! `berth fleet snapshot --nova-database` on a real MariaDB: zones, aggregates, disabled services,
//! names, flavors, groups and ages, read with the grants of docs/scenarios.md.

use std::path::Path;
use std::process::{Command, Output};

use berth_system_tests::service::{Service, command, program};
use berth_test_support::mariadb::MariaDb;
use berth_test_support::process::without_settings;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cloud::{ask, uuid};

const WEB: Uuid = Uuid::from_u128(0x77);
const GONE: Uuid = Uuid::from_u128(0x78);
const BARE: Uuid = Uuid::from_u128(0x79);

/// Two compute nodes. The first is in a zone and an aggregate, the service of the second is
/// disabled. The URL of the cell is a template, as nova-manage writes it by default.
const ROWS: &str = r#"
USE nova_api;
INSERT INTO cell_mappings (uuid, name, database_connection) VALUES
    ('00000000-0000-0000-0000-000000000000', 'cell0', '{scheme}://{username}:{password}@{hostname}:{port}/nova_cell0'),
    ('00000000-0000-0000-0000-0000000000c1', 'cell1', '{scheme}://{username}:{password}@{hostname}:{port}/nova_cell1');
INSERT INTO aggregates (id, uuid, name) VALUES (1, UUID(), 'east'), (2, UUID(), 'fast');
INSERT INTO aggregate_hosts (aggregate_id, host) VALUES (1, 'c1'), (2, 'c1');
INSERT INTO aggregate_metadata (aggregate_id, `key`, `value`) VALUES (1, 'availability_zone', 'east'), (2, 'ssd', 'true');
INSERT INTO instance_groups (id, uuid, name) VALUES (5, '00000000-0000-0000-0000-000000000055', 'apart');
INSERT INTO instance_group_policy (policy, group_id) VALUES ('anti-affinity', 5);
INSERT INTO instance_group_member (instance_uuid, group_id) VALUES ('WEB', 5);
USE nova_cell1;
INSERT INTO services (host, `binary`, topic, `disabled`) VALUES ('c1', 'nova-compute', 'compute', 0),
    ('c2', 'nova-compute', 'compute', 1), ('c1', 'nova-conductor', 'conductor', 1);
INSERT INTO compute_nodes (uuid, host, hypervisor_hostname, vcpus, memory_mb, local_gb) VALUES
    ('NODE1', 'c1', 'c1.example', 8, 4096, 100), ('NODE2', 'c2', 'c2.example', 8, 4096, 100);
INSERT INTO instances (created_at, uuid, display_name, host, deleted) VALUES
    (UTC_TIMESTAMP() - INTERVAL 2 DAY, 'WEB', 'web', 'c1', 0),
    (UTC_TIMESTAMP() - INTERVAL 9 DAY, 'GONE', 'gone', 'c1', 1);
INSERT INTO instance_extra (instance_uuid, flavor) VALUES ('WEB', '{"cur": {"nova_object.name": "Flavor",
    "nova_object.namespace": "nova", "nova_object.version": "1.2", "nova_object.data": {"id": 3, "name": "m1.small",
    "memory_mb": 512, "vcpus": 2, "extra_specs": {"trait:CUSTOM_GOLD": "required"}}}, "old": null, "new": null}');
"#;

#[test]
fn a_snapshot_has_what_novas_databases_say() {
    let Some(mariadb) = MariaDb::start() else {
        berth_test_support::skip::skip("MariaDB is not installed");
        return;
    };
    mariadb.execute(include_str!("schema.sql"));
    let mut rows = ROWS.to_owned();
    for (name, id) in [("WEB", WEB), ("GONE", GONE), ("NODE1", uuid(1)), ("NODE2", uuid(2))] {
        rows = rows.replace(&format!("'{name}'"), &format!("'{id}'"));
    }
    mariadb.execute(&rows);
    let directory = tempfile::tempdir().expect("a directory");
    let mut serve = command(&directory.path().join("data"));
    serve.arg("--init");
    let service = Service::start(serve).unwrap_or_else(|log| panic!("the service does not start: {log}"));
    provide(&service);

    let url = format!("mysql+pymysql://planner:secret@127.0.0.1:{}/nova_api", mariadb.port());
    let said = snapshot(&service, &url, directory.path());
    assert!(said.status.success(), "{said:?}");
    let [hosts, vms] =
        ["hosts.csv", "vms.csv"].map(|file| rows_of(&directory.path().join("today").join(file)));
    let host = |name: &str| hosts.iter().find(|host| host["host_id"] == name).expect("a host");
    assert_eq!(
        (&host("c1.example")["zone"], &host("c1.example")["aggregates"]),
        (&json!("east"), &json!("ssd=true"))
    );
    assert!(
        !host("c1.example")["traits"].to_string().contains("DISABLED"),
        "its conductor is disabled: {hosts:?}"
    );
    assert_eq!(host("c2.example")["traits"], "COMPUTE_STATUS_DISABLED");
    let vm = |id: Uuid| vms.iter().find(|vm| vm["vm_id"] == id.to_string());
    let web = vm(WEB).expect("it has allocations");
    for (column, expected) in [
        ("host", "c1.example"),
        ("flavor", "m1.small"),
        ("group", "00000000-0000-0000-0000-000000000055"),
        ("policy", "anti-affinity"),
        ("extra_specs", "trait:CUSTOM_GOLD=required"),
        ("name", "web"),
        ("vcpus", "2"),
    ] {
        assert_eq!(web[column], expected, "{column}: {web:?}");
    }
    let age = |vm: &Value| vm["age_s"].as_str().and_then(|age| age.parse::<u64>().ok()).expect("a number");
    assert!((2 * 86_400..3 * 86_400).contains(&age(web)), "{web:?}");
    // An instance of which Nova has no row is a VM by its allocations alone.
    let bare = vm(BARE).expect("it has allocations");
    assert_eq!((&bare["flavor"], &bare["name"]), (&json!("1x512"), &json!("")), "{bare:?}");
    assert!(age(bare) < 86_400 && vm(GONE).is_none(), "{vms:?}");

    // What may not be read is an error that names the table, and not the password.
    mariadb.execute("REVOKE SELECT ON nova_cell1.instance_extra FROM 'planner'@'%'");
    let refused = snapshot(&service, &url, &directory.path().join("more"));
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && message.contains("instance_extra"), "{message}");
    assert!(!message.contains("secret"), "{message}");
}

/// Both hosts in Placement, and two instances on the first.
fn provide(service: &Service) {
    let mut placement = service.client();
    for number in [1, 2] {
        let uuid = uuid(number);
        let body = json!({"name": format!("c{number}.example"), "uuid": uuid});
        ask(&mut placement, "POST", "/resource_providers", &body);
        let total = |total: u64| json!({"total": total});
        let inventories = json!({"VCPU": total(8), "MEMORY_MB": total(4_096)});
        let body = json!({"resource_provider_generation": 0, "inventories": inventories});
        ask(&mut placement, "PUT", &format!("/resource_providers/{uuid}/inventories"), &body);
    }
    for (instance, vcpus) in [(WEB, 2), (BARE, 1)] {
        let resources = json!({"VCPU": vcpus, "MEMORY_MB": 512});
        let body = json!({"allocations": {uuid(1).to_string(): {"resources": resources}}, "project_id": "shop",
            "user_id": "u", "consumer_generation": null, "consumer_type": "INSTANCE"});
        ask(&mut placement, "PUT", &format!("/allocations/{instance}"), &body);
    }
}

fn snapshot(service: &Service, url: &str, directory: &Path) -> Output {
    let mut command = without_settings(Command::new(program()));
    command.args(["fleet", "snapshot", "--service", &format!("http://{}", service.grpc_address)]);
    command.args(["--nova-database", url, "--out"]).arg(directory.join("today"));
    command.output().expect("the program runs")
}

/// The rows of a CSV file without quotes, by column.
fn rows_of(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("a file");
    let mut lines = text.lines().map(|line| line.split(','));
    let header: Vec<&str> = lines.next().expect("a header").collect();
    lines
        .map(|fields| {
            header.iter().copied().zip(fields).map(|(name, field)| (name.to_owned(), json!(field))).collect()
        })
        .collect()
}
