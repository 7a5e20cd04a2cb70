//! Variables of the environment that are not understood: an error names them, whatever the command.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{berth, run, stderr, stdout};

/// Runs a command with a variable; returns its exit code and message.
fn with(variable: &[u8], value: &[u8], line: &str) -> (Option<i32>, String) {
    let output = berth(Path::new("."))
        .args(line.split_whitespace())
        .env(OsStr::from_bytes(variable), OsStr::from_bytes(value))
        .output()
        .unwrap();
    (output.status.code(), stderr(&output))
}

/// With `BERTH_SERVE__AUTH=$'keystone\xff'` the service ran without authentication, and with
/// `BERTH_Serve__Data` it wrote to the default directory.
#[test]
fn a_variable_that_is_not_understood_is_an_error() {
    for (variable, value, words) in [
        (&b"BERTH_SERVE__AUTH"[..], &b"keystone\xff"[..], "BERTH_SERVE__AUTH: is not UTF-8"),
        (b"BERTH_SERVE__AUTH", b"", "BERTH_SERVE__AUTH: is empty"),
        (b"BERTH_Serve__Log", b"debug", "has to be written in capitals: BERTH_SERVE__LOG"),
        (b"berth_serve__data", b"/x", "has to be written in capitals: BERTH_SERVE__DATA"),
        (
            b"BERTH_SERVE_AUTH",
            b"keystone",
            "BERTH_SERVE_AUTH: there is no such variable; BERTH_SERVE__AUTH is one",
        ),
        (
            b"BERTH_NOVA__SCHEDULER__ATTEMPTS",
            b"3",
            "BERTH_NOVA__SCHEDULER__ATTEMPTS: there is no such variable",
        ),
        (b"BERTH_LOG", b"info\xff", "BERTH_LOG: is not UTF-8"),
        (b"BERTH_SERVICE", b"", "BERTH_SERVICE: is empty"),
        (b"BERTH_CA", b"\xff.pem", "BERTH_CA: is not UTF-8"),
        (b"BERTH_PROJEKT", b"shop", "BERTH_PROJEKT: there is no such variable"),
    ] {
        for line in ["serve --config /dev/null --data none", "config check --config /dev/null", "zone list"] {
            let (code, message) = with(variable, value, line);
            assert!(code == Some(1) && message.contains(words), "{line}: {message}");
        }
    }
}

#[test]
fn every_setting_has_a_variable() {
    let shown = stdout(&run(Path::new("."), ["config", "check", "--config", "/dev/null"]));
    let settings: Vec<_> =
        shown.lines().filter_map(|line| line.split(' ').next().filter(|name| name.contains('.'))).collect();
    assert!(settings.len() > 80, "{shown}");
    for setting in settings {
        let variable = format!("BERTH_{}", setting.replace('.', "__").to_uppercase());
        let (_, message) = with(variable.as_bytes(), b"?", "zone list");
        assert!(!message.contains("no such variable"), "{message}");
    }
}

#[test]
fn a_log_that_is_not_understood_is_an_error() {
    let (code, message) = with(b"BERTH_LOG", b"infoo", "serve --config /dev/null --data none");
    assert!(code == Some(1) && message.contains("BERTH_LOG: \"infoo\" is no level"), "{message}");
    let check = run(Path::new("."), ["config", "check", "--config", "/dev/null", "--set", "serve.log=infoo"]);
    let message = stderr(&check);
    assert!(message.contains("serve.log: \"infoo\" is no level"), "{message}");
}

#[test]
fn help_needs_no_environment() {
    assert_eq!(with(b"BERTH_X", b"1", "--help").0, Some(0));
    assert_eq!(with(b"BERTH_X", b"1", "--version").0, Some(0));
}

#[test]
fn variables_of_kubernetes_are_its_own() {
    let (_, message) = with(b"BERTH_SERVICE_HOST", b"10.0.0.1", "config check --config /dev/null");
    assert_eq!(message, "");
}
