//! `berth serve` as a process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use berth_test_support::process::without_settings;
use serde_json::Value;

use crate::http::Client;
use crate::resources::Resources;

/// A running service. Dropping it kills the process.
#[derive(Debug)]
pub struct Service {
    process: Child,
    /// The address of the Placement API.
    pub address: String,
    /// The address of the gRPC services.
    pub grpc_address: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Starts a command that [`command`] made. An error is the log of a service that does not
    /// start.
    ///
    /// # Errors
    /// The log up to the end of the process.
    pub fn start(mut command: Command) -> Result<Self, String> {
        let mut process = command.stderr(Stdio::piped()).spawn().expect("the program exists");
        let mut lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let (mut log, mut grpc_address) = (String::new(), String::new());
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                drop(process.wait());
                return Err(log);
            };
            let fields: Value = serde_json::from_str(&line).unwrap_or_default();
            let address = || fields["address"].as_str().unwrap_or_default().to_owned();
            match fields["message"].as_str() {
                Some("serving gRPC") => grpc_address = address(),
                Some("serving the Placement API") => break address(),
                _ => {}
            }
            log.push_str(&line);
            log.push('\n');
        };
        let log = Arc::new(Mutex::new(vec![log]));
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            });
        });
        Ok(Self { process, address, grpc_address, log })
    }

    /// A client of the Placement API.
    pub fn client(&self) -> Client {
        Client::new(&self.address).expect("it listens")
    }

    /// Kills the process at once, by SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it was killed");
    }

    /// Whether the process is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// What the process uses now.
    pub fn resources(&self) -> Resources {
        Resources::of(self.process.id())
    }

    /// The lines of the log: warnings and errors.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The program under test, which cargo builds beside the tests of this package.
pub fn program() -> PathBuf {
    let test = std::env::current_exe().expect("it has a file");
    let directory = test.parent().and_then(Path::parent).expect("tests are in target/PROFILE/deps");
    directory.join("berth-tested")
}

/// The command that serves on free ports of loopback; `data` is a directory, or `none`.
pub fn command(data: &Path) -> Command {
    let mut command = without_settings(Command::new(program()));
    command.env("BERTH_LOG", "warn,berth::serve=info").stdin(Stdio::null()).stdout(Stdio::null());
    command.args([
        "serve",
        "--config",
        "/dev/null",
        "--listen",
        "127.0.0.1:0",
        "--grpc-listen",
        "127.0.0.1:0",
    ]);
    command.args(["--log-format", "json", "--data"]).arg(data);
    command
}
