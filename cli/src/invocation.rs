//! The command line in reports.

/// Options that decide nothing in a report: what is written where, and how fast. With a value each.
const VALUES: [&str; 3] = ["--out", "--placements", "--jobs"];
/// The same, without a value.
const FLAGS: [&str; 2] = ["--json", "--resume"];

/// The command line without the options that say what is written where and by how many threads:
/// equal runs have equal reports.
pub(crate) fn shown(arguments: impl Iterator<Item = String>) -> String {
    let mut words = vec!["berth".to_owned()];
    let mut arguments = arguments.skip(1);
    while let Some(argument) = arguments.next() {
        let name = argument.split_once('=').map_or(&*argument, |(name, _)| name);
        match name {
            _ if FLAGS.contains(&name) => {}
            _ if !VALUES.contains(&name) => words.push(quoted(argument)),
            _ if name == argument => drop(arguments.next()), // its value
            _ => {}
        }
    }
    words.join(" ")
}

/// An argument as a shell takes it.
fn quoted(argument: String) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_=./:,@%+".contains(letter);
    match !argument.is_empty() && argument.chars().all(is_plain) {
        true => argument,
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_in_a_report_has_what_decides_its_content() {
        let shown = |line: &[&str]| shown(line.iter().map(ToString::to_string));
        let line =
            ["/usr/bin/berth", "replay", "my vms.csv", "--out", "a", "--seed=7", "--placements=b", "--json"];
        assert_eq!(shown(&line), "berth replay 'my vms.csv' --seed=7");
        assert_eq!(shown(&["berth", "replay", "--trace", "it's"]), "berth replay --trace 'it'\\''s'");
        let line = ["berth", "simulate", "a.toml", "--jobs", "2", "--resume", "--out=x"];
        assert_eq!(shown(&line), "berth simulate a.toml");
    }
}
