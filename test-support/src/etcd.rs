//! A cluster of etcd for the tests, on loopback, with a directory of its own.
//!
//! The programs are `/usr/bin/etcd` (Debian's package `etcd-server`) and those that the variable
//! [`PROGRAMS`] names: tests run once with each, because versions fail in different ways.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::port::free_ports;
use crate::skip::skip;

/// The variable with more programs, separated by colons.
pub const PROGRAMS: &str = "BERTH_ETCD";

const INSTALLED: &str = "/usr/bin/etcd";

/// Members of a cluster; they end with the test.
#[derive(Debug)]
pub struct EtcdCluster {
    directory: tempfile::TempDir,
    program: PathBuf,
    options: Vec<String>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    client: u16,
    peer: u16,
    process: Option<Child>,
}

/// The programs that are installed; notes that the test is skipped if there is none.
pub fn programs() -> Vec<PathBuf> {
    let more = std::env::var(PROGRAMS).unwrap_or_default();
    let named = more.split(':').filter(|program| !program.is_empty()).map(PathBuf::from);
    let programs: Vec<PathBuf> =
        [PathBuf::from(INSTALLED)].into_iter().filter(|path| path.exists()).chain(named).collect();
    if programs.is_empty() {
        skip("etcd is not installed (apt-get install etcd-server, or BERTH_ETCD=PROGRAM[:PROGRAM…])");
    }
    programs
}

impl EtcdCluster {
    /// Starts a cluster of `count` members, with more options for each, and waits until all accept
    /// clients.
    pub fn start(program: &Path, count: usize, options: &[&str]) -> Self {
        let ports = (0..count).map(|_| free_ports::<2>());
        let members = ports.map(|[client, peer]| Member { client, peer, process: None }).collect();
        let options = options.iter().map(ToString::to_string).collect();
        let directory = tempfile::tempdir().expect("a directory");
        let mut cluster = Self { directory, program: program.to_owned(), options, members };
        (0..count).for_each(|member| cluster.start_member(member));
        (0..count).for_each(|member| cluster.wait_for(member));
        cluster
    }

    /// `HOST:PORT` of each member, for clients.
    pub fn addresses(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("127.0.0.1:{}", member.client)).collect()
    }

    /// Starts a member that is not running, with what it kept.
    pub fn start_member(&mut self, number: usize) {
        let peers = self.members.iter().enumerate();
        let peers = peers.map(|(number, member)| format!("m{number}=http://127.0.0.1:{}", member.peer));
        let peers = peers.collect::<Vec<_>>().join(",");
        let Member { client, peer, .. } = self.members[number];
        let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let name = format!("m{number}");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log(number)).expect("a log");
        let process = Command::new(&self.program)
            .args(["--name", &name, "--data-dir"])
            .arg(self.directory.path().join(&name))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &peers, "--logger", "zap", "--log-level", "warn"])
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("etcd starts");
        self.members[number].process = Some(process);
    }

    /// Waits until a member accepts clients, which it does once it has a leader.
    fn wait_for(&self, number: usize) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", self.members[number].client)).is_err() {
            assert!(Instant::now() < deadline, "etcd does not start: {}", self.logged(number));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self, number: usize) -> PathBuf {
        self.directory.path().join(format!("m{number}.log"))
    }

    /// What a member has logged.
    pub fn logged(&self, number: usize) -> String {
        fs::read_to_string(self.log(number)).unwrap_or_default()
    }

    /// Kills a member.
    pub fn kill(&mut self, number: usize) {
        if let Some(mut process) = self.members[number].process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Stops a member (SIGSTOP): its connections stay open, and nothing answers.
    pub fn pause(&self, number: usize) {
        self.signal(number, "-STOP");
    }

    /// Lets a stopped member go on.
    pub fn resume(&self, number: usize) {
        self.signal(number, "-CONT");
    }

    fn signal(&self, number: usize, signal: &str) {
        let process = self.members[number].process.as_ref().expect("the member runs");
        let status = Command::new("kill").args([signal, &process.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// Calls the JSON gateway of a member, for what no client under test can do; returns the body.
    pub fn gateway(&self, number: usize, path: &str, body: &str) -> String {
        let port = self.members[number].client;
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the member accepts");
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).expect("is sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    }
}

impl Drop for EtcdCluster {
    fn drop(&mut self) {
        (0..self.members.len()).for_each(|member| self.kill(member));
    }
}
