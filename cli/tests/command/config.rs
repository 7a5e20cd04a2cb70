//! `berth config`: the layers, the messages, and what becomes of nova.conf files of different deployments.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::tempdir;

use super::{berth, fail, run, stderr, stdout, succeed};

fn nova_conf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command/nova_conf").join(name)
}

/// The configuration and the report are those that were reviewed; `UPDATE_EXPECTED=1` writes them anew. What was
/// imported passes the check.
fn imports(name: &str) {
    let directory = tempdir().unwrap();
    let (file, expected) = (nova_conf(&format!("{name}.conf")), nova_conf(&format!("{name}.expected")));
    let report = succeed(directory.path(), &format!("config import {} --output berth.toml", file.display()));
    let toml = fs::read_to_string(directory.path().join("berth.toml")).unwrap();
    let found = format!("{toml}\n{report}");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&expected, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(&expected).unwrap(), "{}", expected.display());
    succeed(directory.path(), "config check --config berth.toml");
}

#[test]
fn a_devstack_file_is_imported() {
    imports("devstack");
}

#[test]
fn a_kolla_file_is_imported() {
    imports("kolla");
}

#[test]
fn an_openstack_ansible_file_is_imported() {
    imports("osa");
}

#[test]
fn a_mitaka_file_is_imported() {
    imports("mitaka");
}

#[test]
fn without_output_the_configuration_goes_to_stdout_and_the_report_to_stderr() {
    let directory = tempdir().unwrap();
    let output =
        run(directory.path(), ["config".as_ref(), "import".as_ref(), nova_conf("kolla.conf").as_os_str()]);
    assert!(stdout(&output).contains("[nova.scheduler]\nmax_attempts = 10\n"), "{}", stdout(&output));
    assert!(stderr(&output).starts_with("Carried over: "), "{}", stderr(&output));
}

#[test]
fn files_that_are_no_nova_conf_are_named() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("bad.conf"), "[DEFAULT]\nnonsense\n").unwrap();
    fs::write(directory.path().join("binary.conf"), [0xff, 0xfe]).unwrap();
    assert!(fail(directory.path(), 1, "config import bad.conf").contains("bad.conf:2: neither section"));
    assert!(fail(directory.path(), 1, "config import binary.conf").contains("binary.conf is not UTF-8"));
    assert!(fail(directory.path(), 1, "config import none.conf").contains("cannot read none.conf"));
}

#[test]
fn check_says_where_each_setting_comes_from() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("b.toml"), "[nova.scheduler]\nmax_attempts = 4\nworkers = 2\n").unwrap();
    let output = berth(directory.path())
        .args(["config", "check", "--config", "b.toml", "--set", "nova.scheduler.workers=7"])
        .env("BERTH_NOVA__METRICS__REQUIRED", "false")
        .output()
        .unwrap();
    let text = stdout(&output);
    let line = |setting: &str| {
        let line =
            text.lines().find(|line| line.trim_start().starts_with(setting)).expect("the setting is listed");
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("nova.scheduler.max_attempts"), "4 b.toml");
    assert_eq!(line("nova.scheduler.workers"), "7 --set");
    assert_eq!(line("nova.metrics.required"), "false environment variable BERTH_NOVA__METRICS__REQUIRED");
    assert_eq!(line("nova.DEFAULT.cpu_allocation_ratio"), "(unset) default");
}

#[test]
fn check_lists_every_error() {
    let directory = tempdir().unwrap();
    let wrong = "[nova.filter_scheduler]\nenabled_filters = ['NoFilter']\npci_weight_multiplier = -1\n";
    fs::write(directory.path().join("b.toml"), wrong).unwrap();
    let message = fail(directory.path(), 1, "config check --config b.toml --set nova.scheduler.x=1");
    for words in
        ["has 3 error(s)", "NoFilter", "pci_weight_multiplier: is negative (from b.toml)", "(from --set)"]
    {
        assert!(message.contains(words), "{words} is not in: {message}");
    }
    assert!(fail(directory.path(), 1, "config show --config none.toml").contains("none.toml: "));
}

#[test]
fn what_show_prints_is_a_configuration() {
    let directory = tempdir().unwrap();
    let shown =
        succeed(directory.path(), "config show --config /dev/null --set nova.scheduler.max_attempts=9");
    fs::write(directory.path().join("b.toml"), &shown).unwrap();
    assert_eq!(succeed(directory.path(), "config show --config b.toml"), shown);
    assert!(shown.contains("max_attempts = 9"));
}
