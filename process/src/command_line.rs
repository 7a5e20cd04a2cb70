//! The output of a command that does nothing else: its help, its version, or the error of its
//! arguments.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Error;

use crate::printable;

/// Prints help or version. A reader that went away has seen enough; any other failure is one of the
/// command.
#[must_use]
pub fn print_answer(command: &str, answer: &Error) -> ExitCode {
    match answer.print().and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "{command}: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Writes the manual pages of a command and its subcommands into a directory, which is created
/// where it is missing.
///
/// # Errors
/// The directory cannot be written.
pub fn write_manual(command: clap::Command, directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(command.disable_help_subcommand(true), directory)
}

/// Says what is wrong with the arguments. They are printed as they are only if they cannot act on
/// the terminal.
#[must_use]
pub fn refuse(usage: &Error) -> ExitCode {
    let plain = usage.render().to_string();
    let safe = printable::lines(&plain);
    // Neither a full disk nor a closed pipe changes how this ends.
    let _ = if safe == plain { usage.print() } else { io::stderr().write_all(safe.as_bytes()) };
    ExitCode::from(2)
}
