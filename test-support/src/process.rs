//! Programs under test.

use std::process::Command;

/// The command without the environment variables of Berth, so that the settings of the user who
/// runs the tests do not count.
pub fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BERTH_")) {
        command.env_remove(name);
    }
    command
}
