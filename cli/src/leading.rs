//! Options of the service that stand before the command: `berth --service URL host list`.

use std::ffi::OsString;

/// Options of the commands for a running service, each with a value.
const OPTIONS: [&str; 7] = ["--service", "--ca", "--cert", "--key", "--project", "--format", "-f"];

/// Moves leading options behind the command that follows them, which knows them or refuses them.
pub(crate) fn moved(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.peekable();
    let program = arguments.next();
    let mut leading = Vec::new();
    while let Some(option) = arguments.next_if(is_option) {
        let has_value = option.to_string_lossy().contains('=');
        leading.push(option);
        if !has_value {
            leading.extend(arguments.next());
        }
    }
    let command = arguments.next();
    // Without a command, the options stay, and are refused.
    program.into_iter().chain(command).chain(leading).chain(arguments).collect()
}

fn is_option(argument: &OsString) -> bool {
    let argument = argument.to_string_lossy();
    let name = argument.split_once('=').map_or(&*argument, |(name, _)| name);
    OPTIONS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_before_the_command_are_moved_behind_it() {
        for (given, expected) in [
            ("berth host list --service x", "berth host list --service x"),
            ("berth --service x host list", "berth host --service x list"),
            ("berth --service=x -f json host list --ca y", "berth host --service=x -f json list --ca y"),
            ("berth --version", "berth --version"),
            ("berth --service", "berth --service"),
            ("berth", "berth"),
        ] {
            let found = moved(given.split(' ').map(OsString::from));
            let found: Vec<_> = found.iter().map(|argument| argument.to_string_lossy()).collect();
            assert_eq!(found.join(" "), expected);
        }
    }
}
