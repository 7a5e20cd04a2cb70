//! A measurement from Ctrl-C and progress to the table and the file.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use berth_benches::{Progress, Report, table};
use berth_process::log::Terminal;

use crate::interrupt::Interrupt;
use crate::{Ending, output};

/// Shows the progress of `run` and publishes its result. Ctrl-C makes it end early, with a partial
/// result, or with a failure that `is_stop` recognizes.
pub(super) fn measured<F: std::error::Error + Send + Sync + 'static>(
    run: impl FnOnce(&Progress<'_>) -> Result<Report, F>,
    is_stop: impl FnOnce(&F) -> bool,
    json: Option<PathBuf>,
) -> Result<Ending> {
    let interrupt = Interrupt::listen()?;
    let status = Status::new();
    let result = run(&|step| {
        status.show(step);
        !interrupt.requested()
    });
    status.clear();
    match result {
        Ok(report) => publish(&report, json),
        Err(failure) if is_stop(&failure) => {
            output::complain(&failure.into());
            Ok(Ending::Interrupted)
        }
        Err(failure) => Err(failure.into()),
    }
}

fn publish(report: &Report, json: Option<PathBuf>) -> Result<Ending> {
    if let Some(path) = json {
        output::write_file(&path, &report.to_json())?;
    }
    output::print(&table(report)).context("the result is lost")?;
    if report.ended_early {
        output::note("ended early: the rows have what was measured until then\n")?;
        return Ok(Ending::Interrupted);
    }
    Ok(Ending::Complete)
}

/// The current step, on one line of a terminal, or on a line of its own. If it cannot be written,
/// the measurement continues.
struct Status {
    moves_cursor: bool,
}

impl Status {
    fn new() -> Self {
        Self { moves_cursor: Terminal::of_environment().moves_cursor(std::io::stderr().is_terminal()) }
    }

    fn show(&self, step: &str) {
        let mut stderr = std::io::stderr();
        let _ = if self.moves_cursor { write!(stderr, "\r\x1b[K{step}") } else { writeln!(stderr, "{step}") };
    }

    fn clear(&self) {
        if self.moves_cursor {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

/// The command line without the token and without the passwords of URLs.
pub(super) fn shown_command() -> Vec<String> {
    without_secrets(std::env::args())
}

fn without_secrets(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut hides_next = false;
    let shown = arguments.map(|argument| {
        let hides = std::mem::replace(&mut hides_next, argument == "--token");
        match argument.split_once('=') {
            _ if hides => "***".to_owned(),
            Some(("--token", _)) => "--token=***".to_owned(),
            _ => without_password(argument),
        }
    });
    shown.collect()
}

/// The argument; if it contains a URL, without user and password.
fn without_password(argument: String) -> String {
    let parts =
        argument.split_once("://").and_then(|(before, rest)| Some((before, rest.rsplit_once('@')?.1)));
    match parts {
        Some((before, host)) => format!("{before}://{host}"),
        None => argument,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_part_of_a_result() {
        let shown = |line: &str| without_secrets(line.split(' ').map(str::to_owned)).join(" ");
        assert_eq!(shown("bench api --token secret --rounds 5"), "bench api --token *** --rounds 5");
        assert_eq!(shown("bench api --token=secret"), "bench api --token=***");
        assert_eq!(
            shown("--transport-url rabbit://nova:p@ss@bus:5672/"),
            "--transport-url rabbit://bus:5672/"
        );
        assert_eq!(
            shown("--endpoint=http://u:p@placement/ --existing"),
            "--endpoint=http://placement/ --existing"
        );
    }
}
