//! `berth config`: the layers, the messages, and what becomes of nova.conf files of different
//! deployments.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::tempdir;

use super::{berth, fail, run, stderr, stdout, succeed};

fn nova_conf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command/nova_conf").join(name)
}

/// The configuration and the report are those that were reviewed; `UPDATE_EXPECTED=1` writes them
/// again. What was imported passes the check.
fn imports(name: &str) {
    let directory = tempdir().unwrap();
    let (file, expected) = (nova_conf(&format!("{name}.conf")), nova_conf(&format!("{name}.expected")));
    let line = ["config", "import", file.to_str().unwrap(), "--output", "berth.toml"];
    let output = run(directory.path(), line);
    let report = stdout(&output);
    let is_whole = report.starts_with("Not carried over, to be checked: 0\n");
    assert_eq!(output.status.code(), Some(if is_whole { 0 } else { 4 }), "{report}");
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
    assert!(stderr(&output).starts_with("Not carried over, to be checked: 2\n"), "{}", stderr(&output));
}

/// A list of which Berth knows no value was imported as an empty list: no filter at all.
#[test]
fn a_list_of_unknown_filters_is_not_imported() {
    let directory = tempdir().unwrap();
    let conf = "[filter_scheduler]\nenabled_filters = MyFilter, YourFilter\n";
    fs::write(directory.path().join("nova.conf"), conf).unwrap();
    let output = run(directory.path(), ["config", "import", "nova.conf", "--output", "berth.toml"]);
    assert_eq!(output.status.code(), Some(4));
    let report = stdout(&output);
    let toml = fs::read_to_string(directory.path().join("berth.toml")).unwrap();
    assert!(!toml.lines().any(|line| line.starts_with("enabled_filters")), "{toml}");
    for words in ["MyFilter: Berth has no such filter", "YourFilter", "the default applies"] {
        assert!(report.contains(words), "{words:?} is not in {report}");
    }
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
    assert!(text.ends_with("The configuration is valid.\n"), "{text}");
    let widest = text.lines().map(str::len).max().unwrap();
    assert!(widest <= 170, "the table has {widest} columns");
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

/// `config check` passed these, and `serve` put them into headers.
#[test]
fn urls_that_cannot_be_a_base_are_refused_by_check_and_serve_alike() {
    let directory = tempdir().unwrap();
    for (setting, value, words) in [
        ("serve.public_url", "http://h\nX: y", "serve.public_url: has a blank, a control character"),
        ("serve.public_url", "http://h/?x=1", "serve.public_url: has a query"),
        ("serve.public_url", "http://h/#top", "serve.public_url: has a fragment"),
        ("serve.public_url", "http://me:secret@h", "serve.public_url: names a user"),
        ("serve.public_url", "http:///placement", "serve.public_url: names no host"),
        ("serve.public_url", "http://h:99999", "serve.public_url: has a port"),
        ("serve.public_url", "placement.example.com", "serve.public_url: is not a URL that begins with"),
        (
            "serve.keystone.auth_url",
            "http://h\n",
            "serve.keystone.auth_url: has a blank, a control character",
        ),
        (
            "serve.keystone.www_authenticate_uri",
            "http://h?x",
            "serve.keystone.www_authenticate_uri: has a query",
        ),
        ("serve.cors_origins", "*", "serve.cors_origins: is not a URL that begins with"),
        ("serve.cors_origins", "https://h/dashboard", "serve.cors_origins: has a path"),
        ("serve.trusted_proxies", "proxy", "serve.trusted_proxies: \"proxy\" is neither an address"),
    ] {
        for command in [&["config", "check"][..], &["serve", "--data", "none"]] {
            let setting = format!("{setting}={value}");
            let output = berth(directory.path())
                .args(command)
                .args(["--config", "/dev/null", "--set", &setting])
                .output()
                .unwrap();
            let message = stderr(&output);
            assert!(output.status.code() == Some(1) && message.contains(words), "{setting}: {message}");
        }
    }
    // An empty directory was the current one.
    let message = fail(directory.path(), 1, "config check --config /dev/null --set serve.data=");
    assert!(message.contains("serve.data: is empty; name a directory"), "{message}");
    for url in ["https://placement.example.com", "http://h/placement", "http://[::1]:8778/a/b/"] {
        succeed(directory.path(), &format!("config check --config /dev/null --set serve.public_url={url}"));
    }
}

#[test]
fn sections_are_read_as_nova_reads_them() {
    let directory = tempdir().unwrap();
    let file = |text: &str| fs::write(directory.path().join("nova.conf"), text).unwrap();
    file("[FILTER_SCHEDULER]\nhost_subset_size = 3\n[default]\ncpu_allocation_ratio = 2\n");
    let output = run(directory.path(), ["config", "import", "nova.conf", "--output", "berth.toml"]);
    assert_eq!(output.status.code(), Some(4));
    let report = stdout(&output);
    assert!(report.contains("nova.filter_scheduler.host_subset_size = 3"), "{report}");
    assert!(report.contains("[default] * (line 4): Nova reads [DEFAULT] only"), "{report}");
    assert!(!fs::read_to_string(directory.path().join("berth.toml")).unwrap().contains("cpu_allocation"));
    file("host_subset_size = 3\n[filter_scheduler]\n");
    let message = fail(directory.path(), 1, "config import nova.conf");
    assert!(message.contains("nova.conf:1: an option before the first [section]"), "{message}");
}

/// The weigher of lifetimes is Berth's own, and so is its file, which is read when the service
/// starts.
#[test]
fn lifetimes_are_configured() {
    let directory = tempdir().unwrap();
    let place = directory.path();
    let conf = "[filter_scheduler]\nweight_classes = nova.scheduler.weights.all_weighers,berth.LifetimeWeigher\n\
                lifetime_weight_multiplier = 5\n";
    fs::write(place.join("nova.conf"), conf).unwrap();
    succeed(place, "config import nova.conf --output berth.toml");
    let text = fs::read_to_string(place.join("berth.toml")).unwrap();
    assert!(text.contains("LifetimeWeigher") && text.contains("lifetime_weight_multiplier = 5"), "{text}");
    fs::write(place.join("good.csv"), "flavor,project,p50_s,p90_s\nm1.small,,3600,9000\n").unwrap();
    succeed(place, "config check --config berth.toml --set serve.lifetimes=good.csv");
    fs::write(place.join("bad.csv"), "flavor,p50_s\nm1.small,soon\n").unwrap();
    let error = fail(place, 1, "config check --config berth.toml --set serve.lifetimes=bad.csv");
    assert!(error.contains("serve.lifetimes: bad.csv: line 2: p50_s: \"soon\""), "{error}");
    let error = fail(place, 1, "config check --config berth.toml --set serve.lifetimes=none.csv");
    assert!(error.contains("serve.lifetimes: none.csv"), "{error}");
}
