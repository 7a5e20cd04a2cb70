//! `berth serve` as a process that may be killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use berth_test_support::process::without_settings;

use crate::http::Client;

pub(crate) struct Service {
    process: Child,
    pub(crate) address: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Service {
    /// Starts it on a directory; an error is what it said when it did not start.
    pub(crate) fn start(data: &Path) -> Result<Self, String> {
        Self::run(command(data))
    }

    /// Starts a command that [`command`] made.
    pub(crate) fn run(mut command: Command) -> Result<Self, String> {
        let mut process = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let mut said = String::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                drop(process.wait());
                return Err(said);
            };
            if line.contains("serving the Placement API") {
                let fields: serde_json::Value = serde_json::from_str(&line).expect("the log is JSON");
                break fields["address"].as_str().expect("it says where").to_owned();
            }
            said.push_str(&line);
        };
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            });
        });
        Ok(Self { process, address, log })
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.address).expect("it listens")
    }

    /// SIGKILL, at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it was killed");
    }

    /// Warnings and errors.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Serves a directory on a free port of loopback.
pub(crate) fn command(data: &Path) -> Command {
    let mut command = without_settings(Command::new(env!("CARGO_BIN_EXE_berth")));
    command.env("BERTH_LOG", "warn,berth::serve=info").stdin(Stdio::null()).stdout(Stdio::null());
    command.args([
        "serve",
        "--config",
        "/dev/null",
        "--listen",
        "127.0.0.1:0",
        "--grpc-listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
        "--data",
    ]);
    command.arg(data);
    command
}
