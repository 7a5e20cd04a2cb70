//! What an agent knows of itself, for those that watch it.

use std::fmt;

/// Whether an agent can do its work, and why not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AgentHealth {
    /// Whether the stream to the service is open.
    pub is_joined: bool,
    /// Whether the hypervisor answers.
    pub has_hypervisor: bool,
    /// Why the service has refused the resources of the host; `None` if it has not.
    pub refusal: Option<String>,
}

impl AgentHealth {
    /// Each part with what is wrong with it, or `None` if it works.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, Option<String>); 3] {
        let unless = |is_so: bool, reason: &str| (!is_so).then(|| reason.to_owned());
        [
            ("service", unless(self.is_joined, "the stream to the service is not open")),
            (
                "hypervisor",
                unless(self.has_hypervisor, "the hypervisor does not answer; no heartbeats are sent"),
            ),
            (
                "resources",
                self.refusal
                    .as_ref()
                    .map(|why| format!("the service refuses the resources of this host: {why}")),
            ),
        ]
    }
}

impl fmt::Display for AgentHealth {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts().into_iter().find_map(|(part, problem)| Some((part, problem?))) {
            Some((part, problem)) => write!(out, "{part}: {problem}"),
            None => out.write_str("running"),
        }
    }
}
