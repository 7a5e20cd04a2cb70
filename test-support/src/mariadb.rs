//! A MariaDB for the tests, on loopback, with a directory of its own.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::port::free_ports;

const SERVER: &str = "/usr/sbin/mariadbd";
const INSTALL: &str = "/usr/bin/mariadb-install-db";
const CLIENT: &str = "/usr/bin/mariadb";

/// Two installers that run at the same time get in each other's way: one of them fails now and
/// then.
static INSTALLING: Mutex<()> = Mutex::new(());

/// A database server; it ends with the test.
#[derive(Debug)]
pub struct MariaDb {
    directory: tempfile::TempDir,
    server: Option<Child>,
    port: u16,
}

impl MariaDb {
    /// A server without any database that accepts connections; none where MariaDB is not installed.
    pub fn start() -> Option<Self> {
        if ![SERVER, INSTALL, CLIENT].iter().all(|program| fs::exists(program).is_ok_and(|exists| exists)) {
            return None;
        }
        let directory = tempfile::tempdir().expect("a directory");
        let [port] = free_ports();
        let mut mariadb = Self { directory, server: None, port };
        let installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        let installed = Command::new(INSTALL)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(["--user=root", "--innodb-use-native-aio=OFF"])
            .arg(format!("--datadir={}", mariadb.path("data").display()))
            .output()
            .expect("MariaDB is installed");
        drop(installing);
        let said = [installed.stdout, installed.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(installed.status.success(), "no data directory for MariaDB: {said}");
        mariadb.start_server();
        Some(mariadb)
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The process of the server, which runs.
    pub fn process_id(&self) -> u32 {
        self.server.as_ref().expect("it runs").id()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Starts the server, with what it kept.
    pub fn start_server(&mut self) {
        let server = Command::new(SERVER)
            .args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args(["--performance-schema=OFF", "--innodb-buffer-pool-size=32M"])
            // Many servers at once exceed what the kernel grants for asynchronous I/O.
            .arg("--innodb-use-native-aio=OFF")
            .arg(format!("--port={}", self.port))
            .arg(format!("--datadir={}", self.path("data").display()))
            .arg(format!("--socket={}", self.path("socket").display()))
            .arg(format!("--pid-file={}", self.path("pid").display()))
            .arg(format!("--log-error={}", self.path("log").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.server = Some(server.expect("MariaDB starts"));
        let deadline = Instant::now() + Duration::from_secs(120);
        while !self.try_execute("SELECT 1") {
            assert!(Instant::now() < deadline, "MariaDB does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Executes statements as the administrator.
    pub fn execute(&self, statements: &str) {
        let problem = || fs::read_to_string(self.path("client.log")).unwrap_or_default();
        assert!(self.try_execute(statements), "a statement fails: {}", problem());
    }

    /// The first column of the first row, as the administrator sees it.
    pub fn value(&self, query: &str) -> String {
        let output = Command::new(CLIENT)
            .args(["--no-defaults", "--user=root", "--skip-column-names", "--batch", "--execute", query])
            .arg(format!("--socket={}", self.path("socket").display()))
            .output()
            .expect("the client starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().next().and_then(|row| row.split('\t').next()).unwrap_or_default().to_owned()
    }

    fn try_execute(&self, statements: &str) -> bool {
        let mut client = Command::new(CLIENT)
            .args(["--no-defaults", "--user=root"])
            .arg(format!("--socket={}", self.path("socket").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.path("client.log")).expect("a log"))
            .spawn()
            .expect("the client starts");
        let written = client.stdin.take().expect("it is piped").write_all(statements.as_bytes());
        client.wait().expect("the client ends").success() && written.is_ok()
    }

    /// Kills the server.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.kill();
    }
}
