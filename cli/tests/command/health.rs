//! What operators and service managers see of a running service.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::serve::{Serving, wait};
use super::{fail, succeed};

#[test]
fn a_service_reports_whether_it_can_do_all_of_its_work() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let serving = Serving::on(&data);
    let health = format!("health --url http://{}", serving.address);
    let table = succeed(directory.path(), &health);
    assert!(table.contains("store") && table.contains("ok"), "{table}");
    for path in ["/healthz", "/readyz"] {
        assert!(serving.get(path).starts_with("HTTP/1.1 200"), "{}", serving.get(path));
    }
    for file in fs::read_dir(&data).unwrap().map(|file| file.unwrap().path()) {
        fs::rename(&file, directory.path().join(file.file_name().unwrap())).unwrap();
    }
    let refused = serving.ask_for_provider("00000000-0000-4000-8000-000000000001");
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    wait("it notices that its store is gone", || serving.get("/readyz").starts_with("HTTP/1.1 503"));
    assert!(serving.get("/healthz").starts_with("HTTP/1.1 200"), "the process lives");
    let refusal = fail(directory.path(), 1, &health);
    assert!(refusal.contains("the service cannot do all of its work"), "{refusal}");
    assert!(serving.get("/metrics").contains("berth_healthy{check=\"store\"} 0"));
}

#[test]
fn what_is_not_a_service_has_no_health() {
    let serving = Serving::start(&[]);
    let refusal = fail(Path::new("."), 1, &format!("health --url http://{}", serving.grpc));
    assert!(refusal.contains("gRPC"), "{refusal}");
    let refusal = fail(Path::new("."), 1, "health --url http://127.0.0.1:9");
    assert!(refusal.contains("--url: http://127.0.0.1:9"), "{refusal}");
}

/// As systemd does for a unit with `Type=notify` and `WatchdogSec`.
#[test]
fn the_service_manager_gets_ready_alive_and_stopping() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let variables = [("NOTIFY_SOCKET", socket.to_str().unwrap()), ("WATCHDOG_USEC", "100000")];
    let serving = Serving::start_with(&[], &variables);
    let next = || {
        let mut message = [0; 4096];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    };
    assert_eq!(next(), "READY=1\nSTATUS=serving\n");
    for _ in 0..3 {
        assert_eq!(next(), "WATCHDOG=1\nSTATUS=serving\n");
    }
    serving.stop();
    while !next().starts_with("STOPPING=1\n") {}
}

#[test]
fn every_metric_has_a_help_text_and_a_type() {
    let serving = Serving::start(&[]);
    let page = serving.get("/metrics");
    let names = |kind: &str| -> Vec<String> {
        let lines = page.lines().filter_map(|line| line.strip_prefix(kind)?.split(' ').next());
        lines.map(str::to_owned).collect()
    };
    let (helped, typed) = (names("# HELP "), names("# TYPE "));
    assert_eq!(helped, typed);
    let samples = page.lines().filter(|line| line.starts_with("berth_") || line.starts_with("process_"));
    for sample in samples {
        assert!(typed.iter().any(|name| sample.starts_with(name.as_str())), "{sample}");
    }
    for name in ["berth_build", "berth_capacity", "berth_hosts", "process_resident_memory_bytes"] {
        assert!(typed.iter().any(|typed| typed == name), "{name}: {typed:?}");
    }
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let directory = tempfile::tempdir().unwrap();
    succeed(directory.path(), "manual pages");
    for page in ["berth.1", "berth-serve.1", "berth-server-create.1"] {
        let text = fs::read_to_string(directory.path().join("pages").join(page)).unwrap();
        assert!(text.contains(".SH NAME"), "{page}: {text}");
    }
    let version = succeed(directory.path(), "--version");
    assert!(version.starts_with("berth 0.") && version.contains("(commit "), "{version}");
}

const METRICS: &str = include_str!("../../../docs/metrics.md");
const RULES: &str = include_str!("../../../packaging/prometheus/berth.rules.yml");
const DASHBOARD: &str = include_str!("../../../packaging/grafana/berth.json");

/// The names of metrics in a text, without the suffix of a histogram.
fn metrics_in(text: &str) -> Vec<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let names = words.filter(|word| word.starts_with("berth_") || word.starts_with("process_"));
    names.map(|name| name.trim_end_matches("_bucket")).collect()
}

#[test]
fn alerts_and_dashboard_use_documented_metrics() {
    let documented = metrics_in(METRICS);
    let expressions = serde_json::from_str::<serde_json::Value>(DASHBOARD).unwrap();
    let panels = expressions["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let expressions: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(expressions.len() > 20);
    let rules = RULES.lines().filter(|line| !line.contains("description:") && !line.contains("runbook"));
    for text in expressions.into_iter().chain(rules) {
        for name in metrics_in(text) {
            assert!(documented.contains(&name), "docs/metrics.md lacks {name}");
        }
    }
}

#[test]
fn every_alert_has_a_section_in_the_runbook() {
    let runbook = include_str!("../../../docs/runbook.md");
    let sections: Vec<_> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let alerts: Vec<_> = RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(sections, alerts);
    for alert in alerts {
        assert!(RULES.contains(&format!("docs/runbook.md#{}\n", alert.to_lowercase())), "{alert}");
    }
}

/// The metrics of a service without Nova; those of Nova have a test of their own.
#[test]
fn every_metric_is_documented() {
    let documented = metrics_in(METRICS);
    let page = Serving::start(&[]).get("/metrics");
    for name in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        let names = [name.to_owned(), format!("{name}_total"), format!("{name}_info")];
        assert!(names.iter().any(|name| documented.contains(&name.as_str())), "docs/metrics.md lacks {name}");
    }
}
