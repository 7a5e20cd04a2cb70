//! Comparison with a recording: the hosts that a live service chose, where the trace names them.

use berth_traces::{TraceHost, Vm, decisions::REJECTED};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How the decisions of a run compare with those of the trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedDecisions {
    /// VMs of which the trace says which host of the fleet they got, or that they were refused.
    pub decisions: u64,
    /// Those of them for which the run decided the same.
    pub same: u64,
    /// The first for which it did not.
    pub first_difference: Option<DecisionDifference>,
    /// The SHA-256 of the run's decisions on these VMs: a line `vm,host` for each, in order.
    pub sha256: String,
    /// The same of the recording.
    pub recorded_sha256: String,
}

/// A VM that got another host than in the recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionDifference {
    /// The VM.
    pub vm: String,
    /// Its host in the recording, or `rejected`.
    pub recorded: String,
    /// Its host in the run, or `rejected`.
    pub replayed: String,
}

/// Compares decisions as they are made.
pub(crate) struct RecordedComparison<'a> {
    hosts: &'a [TraceHost],
    names: FxHashSet<&'a str>,
    result: RecordedDecisions,
    has_hosts: bool,
    of_run: Sha256,
    of_recording: Sha256,
}

impl<'a> RecordedComparison<'a> {
    pub(crate) fn new(hosts: &'a [TraceHost]) -> Self {
        Self {
            hosts,
            names: hosts.iter().map(|host| host.id.as_str()).collect(),
            result: RecordedDecisions::default(),
            has_hosts: false,
            of_run: Sha256::new(),
            of_recording: Sha256::new(),
        }
    }

    /// The run decided on a VM. VMs whose host is not in the fleet are labels of another one.
    #[inline]
    pub(crate) fn add(&mut self, vm: &Vm, host: Option<usize>) {
        let recorded = match vm.demands.as_deref() {
            Some(demands) if !demands.host.is_empty() => demands.host.as_str(),
            _ => return,
        };
        let is_host = self.names.contains(recorded);
        if !is_host && recorded != REJECTED {
            return;
        }
        self.has_hosts |= is_host;
        let replayed = host.map_or(REJECTED, |host| self.hosts[host].id.as_str());
        self.result.decisions += 1;
        self.of_run.update(format!("{},{replayed}\n", vm.id));
        self.of_recording.update(format!("{},{recorded}\n", vm.id));
        if recorded == replayed {
            self.result.same += 1;
        } else if self.result.first_difference.is_none() {
            let [vm, recorded, replayed] = [vm.id.as_str(), recorded, replayed].map(str::to_owned);
            self.result.first_difference = Some(DecisionDifference { vm, recorded, replayed });
        }
    }

    /// The comparison; `None` of a trace that names no host of the fleet.
    pub(crate) fn finish(self) -> Option<RecordedDecisions> {
        let hex = |digest: Sha256| digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let Self { result, has_hosts, of_run, of_recording, .. } = self;
        has_hosts.then(|| RecordedDecisions {
            sha256: hex(of_run),
            recorded_sha256: hex(of_recording),
            ..result
        })
    }
}

#[cfg(test)]
mod tests {
    use berth_traces::{Demands, Micros, Resources};

    use super::*;

    fn vm(id: &str, host: &str) -> Vm {
        Vm {
            id: id.into(),
            arrival: Micros(0),
            departure: None,
            resources: Resources::default(),
            flavor: "".into(),
            batch: None,
            demands: Some(Box::new(Demands { host: host.into(), ..Demands::default() })),
        }
    }

    #[test]
    fn the_first_difference_is_named_and_digests_differ() {
        let hosts = ["a", "b"].map(|name| TraceHost::new(name, Resources::default()));
        let of = |decided: &[(&str, &str, Option<usize>)]| {
            let mut compared = RecordedComparison::new(&hosts);
            decided.iter().for_each(|(id, host, got)| compared.add(&vm(id, host), *got));
            compared.finish()
        };
        let same = of(&[("1", "a", Some(0)), ("2", REJECTED, None), ("3", "elsewhere", Some(1))]).unwrap();
        assert_eq!((same.decisions, same.same, &same.first_difference), (2, 2, &None));
        assert_eq!(same.sha256, same.recorded_sha256);
        let other = of(&[("1", "a", Some(0)), ("2", REJECTED, Some(1)), ("4", "b", None)]).unwrap();
        assert_eq!((other.decisions, other.same), (3, 1));
        let first = other.first_difference.unwrap();
        assert_eq!((&*first.vm, &*first.recorded, &*first.replayed), ("2", REJECTED, "b"));
        assert_ne!(other.sha256, other.recorded_sha256);
        assert_eq!(of(&[("1", "elsewhere", Some(0)), ("2", "", None)]), None);
    }
}
