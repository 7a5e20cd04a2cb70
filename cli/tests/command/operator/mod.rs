//! The operators' commands against a fake service, which records the requests and sends the
//! responses of the test.

mod connection;
mod evacuations;
mod explain;
pub(super) mod fake;
mod fleet;
mod formats;
mod migrations;
mod refusals;
mod servers;
mod services;
mod waiting;

use berth_api::v1;
use fake::Fake;
use serde_json::Value;

/// A second of 2026, in microseconds since 1970.
const AT: u64 = 1_780_000_000_250_000;
const AT_TEXT: &str = "2026-05-28T20:26:40.250Z";

const UUID: &str = "3f2c1d60-0000-4000-8000-000000000001";
const OTHER: &str = "3f2c1d60-0000-4000-8000-000000000002";

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn map(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// Asserts that a table has these lines, whatever the width of its columns.
#[track_caller]
fn assert_lines(table: &str, lines: &[&str]) {
    let shown: Vec<_> =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(shown, lines, "{table}");
}

fn json(text: &str) -> Value {
    super::json(text)
}

fn instance(uuid: &str, name: &str, status: &str) -> v1::Instance {
    let vm_state = match status {
        "BUILD" => "building",
        "SHUTOFF" => "stopped",
        other => &other.to_lowercase(),
    };
    v1::Instance {
        uuid: uuid.into(),
        name: name.into(),
        project: "default".into(),
        status: status.into(),
        vm_state: vm_state.into(),
        power_state: "RUNNING".into(),
        host: "compute-1".into(),
        flavor: Some(v1::Flavor { name: "m1.small".into(), vcpus: 1, memory_mb: 2048, ..Default::default() }),
        created_at: AT,
        updated_at: AT,
        ..Default::default()
    }
}

fn busy(mut instance: v1::Instance, task_state: &str) -> v1::Instance {
    instance.task_state = task_state.into();
    instance
}
