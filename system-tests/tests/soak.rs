//! A service under steady load for a long time: memory, threads, descriptors and the size of its
//! file stay flat.
//!
//! `cargo test` runs it for some seconds, `cargo xtask soak --minutes N` for longer
//! (`BERTH_SOAK_SECONDS`).
#![allow(clippy::disallowed_methods, reason = "it takes the time that it is given")]
#![allow(clippy::print_stdout, reason = "prints what it measured")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use berth_system_tests::http::Client;
use berth_system_tests::resources::Resources;
use berth_system_tests::service::{Service, command};
use berth_test_support::setting;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Hosts, and clients that claim on them.
const HOSTS: u64 = 50;
const CLIENTS: u64 = 4;

/// Samples; the first third is the time in which caches and files reach their size.
const SAMPLES: u32 = 30;

#[derive(Debug, Clone, Copy)]
struct Sample {
    resources: Resources,
    file_kib: u64,
}

fn sample(service: &Service, data: &Path) -> Sample {
    let file_kib = std::fs::metadata(data.join("state.redb")).map_or(0, |file| file.len() / 1024);
    Sample { resources: service.resources(), file_kib }
}

fn uuid(kind: char, number: u64) -> String {
    format!("{kind}0000000-0000-4000-8000-{number:012}")
}

fn ask(client: &mut Client, method: &str, path: &str, body: Option<&Value>, status: u16) -> Value {
    client.ask(method, path, body).expect("it is answered").expect(status)
}

fn create_hosts(client: &mut Client) {
    for number in 0..HOSTS {
        let id = uuid('a', number);
        ask(client, "POST", "/resource_providers", Some(&json!({"name": id, "uuid": id})), 200);
        let inventories = json!({"VCPU": {"total": 64}, "MEMORY_MB": {"total": 65_536}});
        let body = json!({"resource_provider_generation": 0, "inventories": inventories});
        ask(client, "PUT", &format!("/resource_providers/{id}/inventories"), Some(&body), 200);
    }
}

/// One round of what clients do: everything that it makes, it removes.
fn round(client: &mut Client, own: u64, number: u64) {
    let consumer = uuid('c', own * 1_000_000_000 + number);
    let host = uuid('a', (own * 7 + number) % HOSTS);
    let body = json!({
        "allocations": {host: {"resources": {"VCPU": 1, "MEMORY_MB": 512}}},
        "project_id": format!("project-{}", number % 1_000), "user_id": "user",
        "consumer_generation": null, "consumer_type": "INSTANCE",
    });
    ask(client, "PUT", &format!("/allocations/{consumer}"), Some(&body), 204);
    ask(client, "GET", "/allocation_candidates?resources=VCPU:1,MEMORY_MB:512&limit=10", None, 200);
    ask(client, "GET", &format!("/allocations/{consumer}"), None, 200);
    ask(client, "DELETE", &format!("/allocations/{consumer}"), None, 204);
    if number.is_multiple_of(20) {
        let class = format!("/resource_classes/CUSTOM_{own}_{number}");
        ask(client, "PUT", &class, None, 201);
        ask(client, "DELETE", &class, None, 204);
    }
}

#[test]
fn a_service_under_steady_load_stays_as_it_is() {
    let seconds = setting::number("BERTH_SOAK_SECONDS").unwrap_or(15);
    let directory = TempDir::new().expect("a directory");
    let data = directory.path().join("data");
    let service = Service::start(command(&data)).unwrap_or_else(|log| panic!("it does not start: {log}"));
    create_hosts(&mut service.client());
    let (stop, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    let mut samples = Vec::new();
    thread::scope(|scope| {
        for own in 0..CLIENTS {
            let (service, stop, rounds) = (&service, &stop, &rounds);
            scope.spawn(move || {
                let mut client = service.client();
                for number in 0.. {
                    if stop.load(Relaxed) {
                        return;
                    }
                    if number % 500 == 499 {
                        client = service.client();
                    }
                    round(&mut client, own, number);
                    rounds.fetch_add(1, Relaxed);
                }
            });
        }
        for number in 1..=SAMPLES {
            let next = start + Duration::from_secs(seconds) * number / SAMPLES;
            thread::sleep(next.saturating_duration_since(Instant::now()));
            let now = sample(&service, &data);
            println!("{:>6} s: {now:?}, {} rounds", start.elapsed().as_secs(), rounds.load(Relaxed));
            samples.push(now);
        }
        stop.store(true, Relaxed);
    });
    check(&samples);
}

/// Its name, how to read it, and by how much it may grow.
type Measure = (&'static str, fn(&Sample) -> u64, u64);

/// Whether the last third has no more than the second one.
fn check(samples: &[Sample]) {
    let third = samples.len() / 3;
    let most = |samples: &[Sample], of: fn(&Sample) -> u64| samples.iter().map(of).max().unwrap_or(0);
    let (before, after) = (&samples[third..2 * third], &samples[2 * third..]);
    let measures: [Measure; 4] = [
        ("KiB resident", |sample| sample.resources.resident_kib, 16_384),
        ("threads", |sample| sample.resources.threads, 2),
        ("descriptors", |sample| sample.resources.descriptors, 8),
        ("KiB of the store's file", |sample| sample.file_kib, 4_096),
    ];
    for (name, of, tolerance) in measures {
        let (before, after) = (most(before, of), most(after, of));
        println!("{name}: at most {before} in the second third, {after} in the last");
        assert!(after <= before + tolerance, "{name} grew from {before} to {after}");
    }
}
