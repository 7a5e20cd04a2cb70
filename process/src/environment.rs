//! The environment variables whose names begin with `BERTH_`.
//!
//! A variable that is set and not understood is an error that names it. To ignore it would mean to
//! run with another setting than the one that was asked for: with a typo in `BERTH_SERVE__AUTH`,
//! without authentication.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;

use crate::printable;

const PREFIX: &str = "BERTH_";

/// Variables of programs that start Berth and pass their environment on, as minicloud does.
const OF_LAUNCHERS: [&str; 2] = ["BERTH_DATA", "BERTH_OPTIONS"];

/// Variables of `berth`, which an agent finds on a machine that also runs the service or the
/// operator's command: names, and prefixes of the service's settings.
const OF_BERTH: [&str; 4] = ["BERTH_PROJECT", "BERTH_USER", "BERTH_COMMIT", "BERTH_NOVA_DATABASE"];
const TABLES_OF_BERTH: [&str; 2] = ["BERTH_SERVE__", "BERTH_NOVA__"];

/// The variables that a program knows.
#[derive(Debug, Default)]
pub struct Known {
    names: BTreeSet<String>,
    /// Whether the variables of `berth` are ignored.
    ignores_berth: bool,
}

/// A variable with its problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// The problem.
    pub kind: ProblemKind,
}

/// The ways in which a variable can be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// Its name or its value is not UTF-8.
    NotUtf8,
    /// It has no value.
    Empty,
    /// Its name is not in capitals.
    Case,
    /// No variable has this name; perhaps this one was meant.
    Unknown(Option<String>),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "environment variable {}: ", printable::line(&self.name))?;
        match &self.kind {
            ProblemKind::NotUtf8 => f.write_str("is not UTF-8"),
            ProblemKind::Empty => f.write_str("is empty; give it a value, or unset it"),
            ProblemKind::Case => {
                write!(f, "has to be written in capitals: {}", self.name.to_ascii_uppercase())
            }
            ProblemKind::Unknown(None) => f.write_str("there is no such variable"),
            ProblemKind::Unknown(Some(meant)) => write!(f, "there is no such variable; {meant} is one"),
        }
    }
}

impl Known {
    /// Variables with these names, which begin with `BERTH_`.
    pub fn new<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect(), ignores_berth: false }
    }

    /// Ignores the variables of `berth`, for another program on the same machine.
    #[must_use]
    pub fn beside_berth(mut self) -> Self {
        self.ignores_berth = true;
        self
    }

    /// Everything that is wrong with the variables that begin with `BERTH_`, in capitals or not, in
    /// the order of their names.
    pub fn problems(&self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<Problem> {
        let problem = |(name, value): (OsString, OsString)| {
            let shown = name.to_string_lossy().into_owned();
            let is_ours = shown.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
            let kind = if is_ours { self.problem(name.to_str(), value.to_str()) } else { None };
            kind.map(|kind| Problem { name: shown, kind })
        };
        let mut problems: Vec<_> = variables.into_iter().filter_map(problem).collect();
        problems.sort_by(|a, b| a.name.cmp(&b.name));
        problems
    }

    fn problem(&self, name: Option<&str>, value: Option<&str>) -> Option<ProblemKind> {
        let Some(name) = name else { return Some(ProblemKind::NotUtf8) };
        if self.names.contains(name) {
            return match value {
                None => Some(ProblemKind::NotUtf8),
                Some("") => Some(ProblemKind::Empty),
                Some(_) => None,
            };
        }
        if is_of_kubernetes(name) || OF_LAUNCHERS.contains(&name) || (self.ignores_berth && is_of_berth(name))
        {
            return None;
        }
        if self.names.contains(&name.to_ascii_uppercase()) {
            return Some(ProblemKind::Case);
        }
        let meant = self.names.iter().find(|known| letters(known) == letters(name));
        Some(ProblemKind::Unknown(meant.cloned()))
    }
}

/// A name without what is easily mistaken in it.
fn letters(name: &str) -> String {
    name.replace('_', "").to_ascii_uppercase()
}

fn is_of_berth(name: &str) -> bool {
    OF_BERTH.contains(&name) || TABLES_OF_BERTH.iter().any(|table| name.starts_with(table))
}

/// Whether Kubernetes sets the variable, in every pod of a namespace with a service whose name
/// begins with `berth`: for `berth-grpc` it sets `BERTH_GRPC_SERVICE_HOST`,
/// `BERTH_GRPC_PORT_8779_TCP` and more.
fn is_of_kubernetes(name: &str) -> bool {
    let is_port = |rest: &str| {
        let (number, rest) = rest.split_once('_').unwrap_or((rest, ""));
        !number.is_empty()
            && number.bytes().all(|digit| digit.is_ascii_digit())
            && ["TCP", "UDP", "SCTP"].iter().any(|protocol| {
                rest.strip_prefix(protocol)
                    .is_some_and(|part| ["", "_PROTO", "_PORT", "_ADDR"].contains(&part))
            })
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || name.ends_with("_PORT")
        || name.match_indices("_PORT_").any(|(at, found)| is_port(&name[at + found.len()..]))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn problems(variables: &[(&[u8], &[u8])]) -> Vec<String> {
        let known = Known::new(["BERTH_LOG", "BERTH_SERVE__AUTH", "BERTH_SERVICE"]);
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let variables = variables.iter().map(|(name, value)| (text(name), text(value)));
        known.problems(variables).iter().map(ToString::to_string).collect()
    }

    /// Each of these was ignored, and the program ran with the default.
    #[test]
    fn what_is_not_understood_is_named() {
        for (name, value, words) in [
            (&b"BERTH_SERVE__AUTH"[..], &b"keystone\xff"[..], "variable BERTH_SERVE__AUTH: is not UTF-8"),
            (b"BERTH_SERVE__AUTH\xff", b"keystone", "variable BERTH_SERVE__AUTH\u{fffd}: is not UTF-8"),
            (b"BERTH_LOG", b"", "variable BERTH_LOG: is empty"),
            (b"BERTH_Serve__Auth", b"keystone", "has to be written in capitals: BERTH_SERVE__AUTH"),
            (b"berth_log", b"info", "variable berth_log: has to be written in capitals: BERTH_LOG"),
            (
                b"BERTH_SERVE_AUTH",
                b"x",
                "BERTH_SERVE_AUTH: there is no such variable; BERTH_SERVE__AUTH is one",
            ),
            (b"BERTH_SERVE__AUTHS", b"x", "BERTH_SERVE__AUTHS: there is no such variable"),
            (b"BERTH_", b"x", "BERTH_: there is no such variable"),
            (b"Berth_\x1b[2J", b"x", "Berth_\\u{1b}[2J: there is no such variable"),
        ] {
            let found = problems(&[(name, value)]);
            assert!(found.len() == 1 && found[0].contains(words), "{found:?}: {words}");
        }
        assert_eq!(problems(&[(b"BERTH_X", b"1"), (b"BERTH_LOG", b"info"), (b"BERTH_A", b"1")]).len(), 2);
    }

    #[test]
    fn variables_of_others_are_theirs() {
        assert!(
            problems(&[
                (b"PATH", b"\xff"),
                (b"BERTHA", b""),
                (b"", b""),
                (b"BERT\xc3\x9c_", b"x"),
                (b"BERTH_LOG", b"info"),
                (b"BERTH_SERVICE_HOST", b"10.0.0.1"),
                (b"BERTH_SERVICE_PORT", b"8778"),
                (b"BERTH_SERVICE_PORT_GRPC", b"8779"),
                (b"BERTH_GRPC_PORT", b"tcp://10.0.0.1:8779"),
                (b"BERTH_GRPC_PORT_8779_TCP_ADDR", b"10.0.0.1"),
            ])
            .is_empty()
        );
        assert_eq!(problems(&[(b"BERTH_PORT_X", b"1"), (b"BERTH_PORTS", b"1")]).len(), 2);
        assert!(problems(&[(b"BERTH_DATA", b"x"), (b"BERTH_OPTIONS", b"")]).is_empty());
    }

    #[test]
    fn an_agent_ignores_the_variables_of_the_service_and_the_command() {
        let agent = Known::new(["BERTH_LOG"]).beside_berth();
        let variables = ["BERTH_SERVE__AUTH", "BERTH_NOVA__X__Y", "BERTH_PROJECT", "BERTH_LOG", "BERTH_HOST"];
        let found = agent.problems(variables.map(|name| (name.into(), "x".into())));
        assert_eq!(found.iter().map(|problem| problem.name.as_str()).collect::<Vec<_>>(), ["BERTH_HOST"]);
    }
}
