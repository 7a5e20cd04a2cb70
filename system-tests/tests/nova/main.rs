//! Berth in nova-scheduler's place on a real bus and real databases, without Nova: the test asks as
//! nova-conductor does.
//!
//! `cargo xtask minicloud` does the same with Nova itself, but needs packages of PyPI and minutes.
//! Here, RabbitMQ, MariaDB and PostgreSQL are enough; where one of them is not installed, the tests
//! that need it are skipped and say so.
#![allow(clippy::disallowed_methods, reason = "real processes at real times, and instances drawn at random")]

mod cells;
mod cloud;
mod conductor;
mod databases;
mod kills;
mod reads;
mod snapshot;

use std::time::{Duration, Instant};

use cloud::{Cloud, HOSTS, Parts, VCPUS, uuid};
use conductor::{Answer, Conductor, new_uuid};
use serde_json::{Value, json};

fn no_host(message: &str) -> Answer {
    Answer::Exception("NoValidHost".to_owned(), message.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn boots_refusals_alternates_and_retries_are_answered_over_the_bus() {
    let Some(cloud) = Cloud::start(Parts::One) else { return };
    everything_is_answered(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_with_another_placement_service() {
    let Some(cloud) = Cloud::start(Parts::Two) else { return };
    everything_is_answered(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_with_postgresql() {
    let Some(cloud) = Cloud::start(Parts::Postgres) else { return };
    everything_is_answered(&cloud).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_over_tls_while_the_first_broker_is_dead() {
    let Some(cloud) = Cloud::start(Parts::Encrypted) else { return };
    everything_is_answered(&cloud).await;
}

async fn everything_is_answered(cloud: &Cloud) {
    let mut conductor = Conductor::new(cloud.bus());

    // A boot: one host is claimed, the others are alternates.
    let instance = new_uuid();
    let Answer::Hosts(hosts) = conductor.ask(&[instance], 1, &[]).await else { panic!("no host") };
    assert_eq!((hosts.len(), hosts[0].len()), (1, HOSTS.len()), "max_attempts is 3");
    let number = HOSTS.iter().position(|host| *host == hosts[0][0]).expect("a known host");
    let resources = json!({"VCPU": 1, "MEMORY_MB": 64, "DISK_GB": 1});
    assert_eq!(cloud.allocations(instance)[uuid(number).to_string()]["resources"], resources);

    // Its build fails: conductor releases, and asks again without that host.
    cloud.release(instance);
    let Answer::Hosts(again) = conductor.ask(&[instance], 1, &[&hosts[0][0]]).await else {
        panic!("no host")
    };
    assert!(!again[0].contains(&hosts[0][0]), "{again:?}");
    assert_eq!(cloud.used(), 1);
    cloud.release(instance);

    // More than any host has: no candidate of Placement, so Nova gives no reason.
    let refused = conductor.ask(&[new_uuid()], VCPUS + 1, &[]).await;
    assert_eq!(refused, no_host("No valid host was found. "));
    // Operators see which constraint of Placement removed the hosts, wherever that is.
    let explanation = cloud.explanation().await;
    let removed = explanation["removed"].as_array().expect("a list");
    let by = |name: &str| removed.iter().find(|one| one["constraint"] == name);
    let vcpus = by(&format!("placement: VCPU {}", VCPUS + 1)).expect("a constraint");
    assert_eq!((&vcpus["entered"], &vcpus["removed"]), (&json!(3), &json!(3)), "{explanation}");
    assert_eq!(by("placement: MEMORY_MB 64").expect("a constraint")["removed"], 0, "{explanation}");

    // All or nothing: four instances of a whole host each, on three hosts.
    let instances: Vec<_> = (0..4).map(|_| new_uuid()).collect();
    let refused = conductor.ask(&instances, VCPUS, &[]).await;
    assert_eq!(refused, no_host("No valid host was found. There are not enough hosts available."));
    assert_eq!(cloud.used(), 0, "nothing stays claimed");
    let Answer::Hosts(hosts) = conductor.ask(&instances[..3], VCPUS, &[]).await else { panic!("no hosts") };
    let mut chosen: Vec<&str> = hosts.iter().map(|list| list[0].as_str()).collect();
    chosen.sort_unstable();
    assert_eq!((chosen, cloud.used()), (HOSTS.to_vec(), 3 * VCPUS));
    instances.iter().for_each(|instance| cloud.release(*instance));

    // A host that is disabled meanwhile is not chosen: rows are read after the request arrived.
    let disable = "UPDATE services SET disabled = TRUE WHERE host IN ('c1', 'c2')";
    cloud.databases.execute("nova_cell1", disable);
    let Answer::Hosts(hosts) = conductor.ask(&[new_uuid()], 1, &[]).await else { panic!("no host") };
    assert_eq!(hosts, [["c3"]]);

    // The scheduler's own row, which `openstack compute service list` shows.
    let record = "SELECT COUNT(*) FROM services WHERE host = 'sched' AND `binary` = 'nova-scheduler' AND \
                  report_count > 0 AND last_seen_up IS NOT NULL";
    assert_eq!(cloud.databases.value("nova_cell1", record), "1");
    // New hosts are mapped to their cell, once; one that is mapped already stays as it is.
    let unmapped = "SELECT COUNT(*) FROM compute_nodes WHERE mapped = 0";
    let deadline = Instant::now() + Duration::from_secs(60);
    while cloud.databases.value("nova_cell1", unmapped) != "0" {
        assert!(Instant::now() < deadline, "hosts are not mapped");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mapped = "SELECT COUNT(*) FROM host_mappings h JOIN cell_mappings c ON c.id = h.cell_id WHERE c.name = 'cell1'";
    assert_eq!(cloud.databases.value("nova_api", mapped), HOSTS.len().to_string());
    let metrics = cloud.metrics();
    for line in ["berth_nova_requests_total{outcome=\"placed\"} 4", "berth_nova_bus_connected 1"] {
        assert!(metrics.lines().any(|one| one == line), "{line} is missing from\n{metrics}");
    }
}

/// In shadow mode, the answer of the other scheduler is returned, what it claimed is claimed once,
/// and both are recorded.
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_passed_on_and_compared_in_shadow_mode() {
    let Some(cloud) = Cloud::start(Parts::Shadow) else { return };
    let mut conductor = Conductor::new(cloud.bus());
    // The other scheduler may not serve its virtual host yet.
    let deadline = Instant::now() + Duration::from_secs(60);
    let instance = new_uuid();
    let chosen = loop {
        match conductor.ask(&[instance], 1, &[]).await {
            Answer::Hosts(hosts) => break hosts[0][0].clone(),
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
    };
    let number = HOSTS.iter().position(|host| *host == chosen).expect("a known host");
    assert_eq!(cloud.allocations(instance)[uuid(number).to_string()]["resources"]["VCPU"], 1);
    assert_eq!(conductor.ask(&[new_uuid()], VCPUS + 1, &[]).await, no_host("No valid host was found. "));
    assert_eq!(cloud.used(), 1);
    let records = loop {
        let records = records(&cloud);
        if records.len() >= 2 {
            break records;
        }
        assert!(Instant::now() < deadline, "{records:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let [.., placed, refused] = &records[..] else { panic!("{records:?}") };
    assert_eq!(placed["nova"]["hosts"], json!([chosen]));
    assert!(["same", "tie"].contains(&placed["agreement"].as_str().expect("a text")), "{placed}");
    assert_eq!((&refused["agreement"], &refused["berth"]), (&json!("same"), &refused["nova"]));
}

/// The answered requests that are recorded, in order.
fn records(cloud: &Cloud) -> Vec<Value> {
    let text = std::fs::read_to_string(cloud.path("shadow.jsonl")).unwrap_or_default();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    records.filter(|record| record["agreement"] != "unanswered").collect()
}
