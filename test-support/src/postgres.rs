//! A PostgreSQL for the tests, on loopback, with a directory of its own.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::port::free_ports;

/// Debian has a directory for each version here.
const VERSIONS: &str = "/usr/lib/postgresql";

/// PostgreSQL refuses to run as root: then it runs as the user of Debian's package.
const USER: &str = "postgres";

/// A database server; it ends with the test.
#[derive(Debug)]
pub struct Postgres {
    directory: tempfile::TempDir,
    programs: PathBuf,
    is_root: bool,
    server: Option<Child>,
    port: u16,
}

impl Postgres {
    /// A server that accepts connections, with the database `postgres` alone; none where PostgreSQL
    /// is not installed.
    pub fn start() -> Option<Self> {
        let programs = newest(Path::new(VERSIONS))?;
        let directory = tempfile::tempdir().expect("a directory");
        let is_root = fs::metadata(directory.path()).expect("it exists").uid() == 0;
        if is_root {
            let (user, group) = (id("-u")?, id("-g")?);
            chown(directory.path(), Some(user), Some(group)).expect("root may");
        }
        let [port] = free_ports();
        let mut postgres = Self { directory, programs, is_root, server: None, port };
        let initialized = postgres
            .command("initdb")
            .arg("--pgdata")
            .arg(postgres.path("data"))
            .args(["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256"])
            .args(["--encoding=UTF8", "--locale=C", "--no-sync"])
            .output()
            .expect("initdb starts");
        let said = String::from_utf8_lossy(&initialized.stderr);
        assert!(initialized.status.success(), "no data directory for PostgreSQL: {said}");
        postgres.start_server();
        Some(postgres)
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A program of the server, as a user that it accepts.
    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = Command::new(if self.is_root { Path::new("setpriv") } else { &path });
        if self.is_root {
            let user = [format!("--reuid={USER}"), format!("--regid={USER}")];
            command.args(user).args(["--clear-groups", "--"]).arg(path);
        }
        command.current_dir(self.directory.path());
        command
    }

    /// Starts the server, with what it kept.
    pub fn start_server(&mut self) {
        let log = fs::File::create(self.path("log")).expect("a log");
        let server = self
            .command("postgres")
            .arg("-D")
            .arg(self.path("data"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-c", "fsync=off", "-c", "shared_buffers=16MB", "-k"])
            .arg(self.directory.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.server = Some(server.expect("PostgreSQL starts"));
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.run("postgres", "SELECT 1").is_err() {
            let log = || fs::read_to_string(self.path("log"));
            assert!(Instant::now() < deadline, "PostgreSQL does not start: {:?}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Executes statements in a database as the administrator.
    pub fn execute(&self, database: &str, statements: &str) {
        self.run(database, statements).unwrap_or_else(|problem| panic!("a statement fails: {problem}"));
    }

    /// The first column of the first row, as the administrator sees it.
    pub fn value(&self, database: &str, query: &str) -> String {
        let text = self.run(database, query).unwrap_or_else(|problem| panic!("a query fails: {problem}"));
        text.lines().next().and_then(|row| row.split('|').next()).unwrap_or_default().to_owned()
    }

    /// The output of the client, or what it complains about.
    fn run(&self, database: &str, statements: &str) -> Result<String, String> {
        let mut client = Command::new(self.programs.join("psql"))
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .args(["--username=postgres", "--port", &self.port.to_string(), "--dbname", database, "--host"])
            .arg(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client starts");
        let written = client.stdin.take().expect("it is piped").write_all(statements.as_bytes());
        let output = client.wait_with_output().expect("the client ends");
        if output.status.success() && written.is_ok() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Ends the server at once, with its processes; it recovers when it is started again.
    pub fn kill(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        let _ = Command::new("kill").args(["-QUIT", &server.id().to_string()]).status();
        let _ = server.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The programs of the newest version.
fn newest(versions: &Path) -> Option<PathBuf> {
    let installed = fs::read_dir(versions).ok()?.filter_map(Result::ok).map(|entry| entry.path().join("bin"));
    let complete =
        installed.filter(|bin| ["initdb", "postgres", "psql"].iter().all(|one| bin.join(one).exists()));
    complete.max()
}

/// A number of the user.
fn id(option: &str) -> Option<u32> {
    let output = Command::new("id").args([option, USER]).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}
