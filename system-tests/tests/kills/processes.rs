//! The service and agents as processes that may be killed.

use std::fs::OpenOptions;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use berth_system_tests::service::program;
use berth_test_support::process::without_settings;

/// A process that is started again whenever it was killed.
pub(crate) struct Process {
    pub(crate) name: String,
    command: Command,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    fn new(name: &str, command: Command, directory: &Path) -> Self {
        let log = directory.join(format!("{name}.log"));
        Self { name: name.to_owned(), command, log, child: None }
    }

    pub(crate) fn start(&mut self) {
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("a log");
        let command = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("the program runs"));
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let ended = child.try_wait().expect("it can be asked");
            assert!(ended.is_none(), "{} had ended by itself: {ended:?}\n{}", self.name, self.said());
            child.kill().expect("it runs");
            child.wait().expect("it was killed");
        }
    }

    /// The end of its log.
    pub(crate) fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A loopback address that no other program takes while the service is away.
pub(crate) fn address() -> SocketAddr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let listener = TcpListener::bind(SocketAddr::from(([127, 78, high, low], 0))).expect("a free port");
    listener.local_addr().expect("it is bound")
}

/// `berth serve` on a directory.
pub(crate) fn service(directory: &Path, address: SocketAddr) -> Process {
    let config = directory.join("berth.toml");
    // Hosts are up at once when they are back, so that a build which finds none need not wait for
    // long.
    std::fs::write(&config, "[nova.DEFAULT]\nreport_interval = 1\nservice_down_time = 5\n").expect("written");
    let mut command = without_settings(Command::new(program()));
    command.args(["serve", "--listen", "127.0.0.1:0", "--grpc-listen", &address.to_string(), "--config"]);
    command.arg(config).arg("--data").arg(directory.join("data"));
    Process::new("service", command, directory)
}

/// This very program as the agent of a host, with its guests in a directory.
pub(crate) fn agent(directory: &Path, host: &str, service: SocketAddr) -> Process {
    let mut command = Command::new(std::env::current_exe().expect("it has a file"));
    command.args(["agent", host, &format!("http://{service}")]).arg(guests_of(directory, host));
    Process::new(host, command, directory)
}

pub(crate) fn guests_of(directory: &Path, host: &str) -> PathBuf {
    directory.join("guests").join(host)
}
