//! `berth console`.

use anyhow::Result;
use berth_api::v1::GetConsoleLogRequest;
use clap::{Args, Subcommand};

use super::connection::request;
use super::refusal::Answer;
use super::{ProjectOptions, Scope};
use crate::{Ending, output};

/// Show the consoles of servers
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth console log show web-1
  berth console log show web-1 --lines 20")]
pub(crate) struct Consoles {
    #[command(flatten)]
    options: ProjectOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// What a server has written to its serial console
    #[command(subcommand)]
    Log(Log),
}

#[derive(Subcommand)]
enum Log {
    /// Print the latest lines, from at most 64 KiB
    Show(Show),
}

#[derive(Args)]
struct Show {
    /// The name or UUID of the server
    #[arg(value_name = "SERVER")]
    server: String,
    /// The number of lines [default: all]
    #[arg(long, value_name = "N")]
    lines: Option<usize>,
    #[command(flatten)]
    scope: Scope,
}

impl Consoles {
    pub(crate) fn run(self) -> Result<Ending> {
        let Action::Log(Log::Show(Show { server, lines, scope })) = self.action;
        self.options.run(async |client, project, _| {
            let wanted = GetConsoleLogRequest { instance: server, project: scope.project(&project) };
            let log = client.instances().get_console_log(request(wanted)).await.answer()?;
            // Guests write what they like: nothing of it acts on the terminal.
            output::print(&tail(&String::from_utf8_lossy(&log.output).replace("\r\n", "\n"), lines))
        })
    }
}

/// The latest lines, each with its end.
fn tail(text: &str, lines: Option<usize>) -> String {
    let all: Vec<&str> = text.lines().collect();
    let skipped = lines.map_or(0, |lines| all.len().saturating_sub(lines));
    all[skipped..].iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_lines_are_shown() {
        assert_eq!(tail("a\nb\nc", None), "a\nb\nc\n");
        assert_eq!(tail("a\nb\nc\n", Some(2)), "b\nc\n");
        assert_eq!(tail("a", Some(9)), "a\n");
        assert_eq!(tail("", Some(1)), "");
    }
}
