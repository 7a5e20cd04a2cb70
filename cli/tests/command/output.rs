//! What is printed: on full disks, in files, and with characters that act on terminals.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Output, Stdio};

use berth_api::v1::{Host, ListHostsResponse};
use tempfile::tempdir;
use tonic::Status;

use super::operator::fake::Fake;
use super::serve::wait;
use super::{berth, json, stderr, stdout};

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

fn to_full_disk(line: &str) -> Output {
    berth(Path::new(".")).args(line.split_whitespace()).stdout(full()).output().unwrap()
}

/// `--help` and `--version` ended with 0.
#[test]
fn whatever_cannot_be_printed_is_an_error() {
    for line in [
        "--help",
        "--version",
        "help",
        "serve --help",
        "server create -h",
        "completions bash",
        "config reference",
        "config show --config /dev/null",
        "config check --config /dev/null",
        "serve --config /dev/null --print-policy",
        "import-placement --print-query sqlite",
    ] {
        let output = to_full_disk(line);
        let message = stderr(&output);
        assert!(matches!(output.status.code(), Some(1)), "berth {line}: {:?} {message}", output.status);
        assert!(message.contains("cannot write to standard output"), "berth {line}: {message}");
    }
}

/// The log met a full disk, and the attempt to say so there panicked.
#[test]
fn a_log_on_a_full_disk_does_not_end_the_service() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut serve = berth(Path::new("."))
        .args(["serve", "--config", "/dev/null", "--data", "none", "--listen", &address.to_string()])
        .args(["--grpc-listen", "127.0.0.1:0"])
        .stderr(full())
        .spawn()
        .unwrap();
    wait("the service listens", || {
        assert_eq!(serve.try_wait().unwrap(), None, "it has ended");
        TcpStream::connect(address).is_ok()
    });
    assert_eq!(serve.try_wait().unwrap(), None, "it has ended");
    serve.kill().unwrap();
    serve.wait().unwrap();
    let wrong = berth(Path::new(".")).arg("--nonsense").stderr(full()).status().unwrap();
    assert_eq!(wrong.code(), Some(2));
    let failing =
        berth(Path::new(".")).args(["config", "show", "--config", "none"]).stderr(full()).status().unwrap();
    assert_eq!(failing.code(), Some(1));
}

/// A file got colour codes, which nothing that reads logs expects.
#[test]
fn a_log_in_a_file_has_no_colours() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    for (name, value) in [("TERM", "xterm-256color"), ("CLICOLOR_FORCE", "1"), ("TERM", "dumb")] {
        let output = berth(Path::new("."))
            .args(["serve", "--config", "/dev/null", "--data", "none"])
            .args(["--listen", "127.0.0.1:0", "--grpc-listen", &taken])
            .env(name, value)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let log = stderr(&output);
        assert!(log.contains("WARN") && !log.contains('\u{1b}'), "{log:?}");
    }
}

const NAME: &str = "h\u{202e}1\u{1b}[2J\nforged";

/// A name with U+202E is shown backwards, and one with ESC acts on the terminal.
#[test]
fn names_cannot_act_on_the_terminal() {
    let fake = Fake::start();
    let hosts = || ListHostsResponse {
        hosts: vec![Host { name: NAME.into(), aggregates: vec![NAME.into()], ..Host::default() }],
        ..ListHostsResponse::default()
    };
    fake.answers("ListHosts", hosts());
    let table = fake.succeed("host list");
    assert!(table.contains("h\\u{202e}1\\u{1b}[2J\\nforged") && table.lines().count() == 2, "{table:?}");
    fake.answers("ListHosts", hosts());
    let text = fake.succeed("host list -f json");
    assert!(!text.contains(['\u{202e}', '\u{1b}']), "{text:?}");
    assert_eq!(json(&text)[0]["name"], NAME);
    fake.answers("GetHost", hosts().hosts.remove(0));
    let table = fake.succeed("host show x");
    assert!(!table.contains(['\u{202e}', '\u{1b}']) && table.contains("\\nforged"), "{table:?}");
}

#[test]
fn messages_cannot_act_on_the_terminal() {
    let fake = Fake::start();
    fake.refuses("GetHost", Status::not_found(format!("no host {NAME}")));
    let message = fake.fail(1, "host show x");
    assert!(message.contains("no host h\\u{202e}1\\u{1b}[2J\\nforged"), "{message:?}");
    let usage = berth(Path::new(".")).arg("\u{1b}[2J").output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    assert!(!stderr(&usage).contains('\u{1b}'), "{:?}", stderr(&usage));
    let directory = tempdir().unwrap();
    let wrong = berth(directory.path())
        .args(["config", "show", "--config", "a\u{202e}\u{1b}b.toml"])
        .output()
        .unwrap();
    assert!(!stderr(&wrong).contains(['\u{202e}', '\u{1b}']), "{:?}", stderr(&wrong));
    assert_eq!(stdout(&wrong), "");
}
