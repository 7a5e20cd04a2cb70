//! `berth doctor` and `berth upgrade check`.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::serve::Serving;
use super::{json, run, stdout};

/// The settings of a service, in a file for its commands.
fn settings(directory: &Path, serving: &Serving, more: &str) -> String {
    let file = directory.join("berth.toml");
    let data = directory.join("data");
    let text = format!(
        "[serve]\nlisten = \"{}\"\ngrpc_listen = \"{}\"\ndata = {data:?}\n{more}",
        serving.address, serving.grpc
    );
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The state and the detail of each check, and the exit code.
fn checks(directory: &Path, line: &str) -> (Option<i32>, Value) {
    let output = run(directory, line.split_whitespace().chain(["--json"]));
    let found = json(&stdout(&output));
    let checks = found.as_array().unwrap().iter();
    let by_name = checks.map(|check| (check["name"].as_str().unwrap().to_owned(), check.clone()));
    (output.status.code(), Value::Object(by_name.collect()))
}

#[test]
fn a_service_that_is_well_has_no_finding() {
    let directory = TempDir::new().unwrap();
    let here = directory.path();
    let serving = Serving::on(&here.join("data"));
    let file = settings(here, &serving, "");
    let (code, found) = checks(here, &format!("doctor --config {file}"));
    for name in ["configuration", "placement_api", "grpc", "data_directory"] {
        assert_eq!(found[name]["state"], "ok", "{found:#}");
    }
    // The machine's own clock and disk may deserve a warning.
    let is_well = found.as_object().unwrap().values().all(|check| check["state"] == "ok");
    assert_eq!(code, Some(if is_well { 0 } else { 4 }), "{found:#}");
    let table = stdout(&run(here, ["doctor", "--config", &file]));
    assert!(table.lines().any(|line| line.starts_with("placement_api") && line.contains("ok")), "{table}");
}

#[test]
fn what_is_wrong_is_found() {
    let directory = TempDir::new().unwrap();
    let here = directory.path();
    super::succeed(here, "certs init --dir pki");
    super::succeed(here, "certs issue --dir pki --role server --name berth --ip 127.0.0.1 --days 3");
    let serving = Serving::on(&here.join("data"));
    let tls = format!(
        "[serve.tls]\ncertificate = {0:?}\nkey = {1:?}\nclient_ca = {2:?}\n",
        here.join("pki/berth.pem"),
        here.join("pki/berth-key.pem"),
        here.join("pki/ca.pem")
    );
    let file = settings(here, &serving, &tls);
    // The service has no certificates: another configuration than that in the file.
    let (code, found) = checks(here, &format!("doctor --config {file}"));
    assert_eq!(code, Some(4));
    assert_eq!(found["certificate"]["state"], "warning", "{found:#}");
    assert!(found["certificate"]["detail"].as_str().unwrap().contains("expires within"), "{found:#}");
    assert_eq!(found["client_ca_certificate"]["state"], "ok", "{found:#}");
    assert_eq!(found["grpc"]["state"], "failed", "{found:#}");
    assert!(found["grpc"]["detail"].as_str().unwrap().contains("TLS"), "{found:#}");

    let closed = "--set serve.listen=127.0.0.1:9 --set serve.grpc_listen=127.0.0.1:9";
    let (_, found) = checks(here, &format!("doctor --config /dev/null --set serve.data=nowhere {closed}"));
    assert_eq!(
        (&found["placement_api"]["state"], &found["grpc"]["state"]),
        (&"failed".into(), &"failed".into())
    );
    assert!(found["data_directory"]["detail"].as_str().unwrap().contains("does not exist"), "{found:#}");

    let (code, found) = checks(here, "doctor --config /dev/null --set serve.listen=here");
    assert_eq!((code, found.as_object().unwrap().len()), (Some(4), 1), "{found:#}");
    assert!(found["configuration"]["detail"].as_str().unwrap().contains("serve.listen"), "{found:#}");
}

#[test]
fn an_upgrade_is_checked_while_the_service_runs_and_after() {
    let directory = TempDir::new().unwrap();
    let here = directory.path();
    let serving = Serving::on(&here.join("data"));
    serving.add_provider("00000000-0000-4000-8000-000000000001");
    let file = settings(here, &serving, "");
    let line = format!("upgrade check --config {file} --service http://{}", serving.grpc);
    let (code, found) = checks(here, &line);
    assert_eq!(code, Some(0), "{found:#}");
    assert!(found["state"]["detail"].as_str().unwrap().contains("1 providers"), "{found:#}");
    assert!(found["agents"]["detail"].as_str().unwrap().contains("0 hosts"), "{found:#}");
    serving.stop();
    let (code, found) = checks(here, &line);
    assert_eq!(
        (code, &found["state"]["state"], &found["agents"]["state"]),
        (Some(4), &"ok".into(), &"warning".into()),
        "{found:#}"
    );
    fs::write(here.join("data/state.redb"), "rubbish").unwrap();
    let (_, found) = checks(here, &line);
    assert_eq!(found["state"]["state"], "failed", "{found:#}");
}
