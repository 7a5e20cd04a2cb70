//! The JSON report. Its schema is a contract with scripts: `version` increases when a field changes
//! its meaning.

use serde::Serialize;

use super::summary::{Summary, Utilisation};
use crate::outcome::{Sample, Share, SimulationOutcome, Totals};

const VERSION: u32 = 1;

/// What a replay ran with.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct ReplayProvenance<'a> {
    /// The version of Berth.
    pub version: &'a str,
    /// The trace.
    pub trace: &'a str,
    /// The hosts.
    pub fleet: &'a str,
    /// The command, without the options that name what is written.
    pub command: &'a str,
    /// The seed, if one was given.
    pub seed: Option<u64>,
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    provenance: &'a ReplayProvenance<'a>,
    summary: Head<'a>,
    samples: &'a [Sample],
}

#[derive(Serialize)]
struct Head<'a> {
    policy: &'a str,
    complete: bool,
    hosts: u64,
    capacity: Share,
    started_us: u64,
    ended_us: u64,
    span_us: u64,
    totals: Totals,
    rejection_rate: Option<f64>,
    mean_used: Share,
    peak_used: Share,
    final_used: Share,
    final_stranded: Share,
    utilisation: Classes,
    packing_density: Option<f64>,
    peak_busy_hosts: u64,
    peak_running_vms: u64,
    placements_sha256: Option<&'a str>,
}

#[derive(Serialize)]
struct Classes {
    vcpus: Option<Utilisation>,
    memory_mb: Option<Utilisation>,
    disk_gb: Option<Utilisation>,
}

pub(super) fn json(outcome: &SimulationOutcome, provenance: &ReplayProvenance<'_>) -> String {
    let report = Report { version: VERSION, provenance, summary: head(outcome), samples: &outcome.samples };
    let mut text = serde_json::to_string_pretty(&report).expect("plain structs of numbers and strings");
    text.push('\n');
    text
}

fn head(outcome: &SimulationOutcome) -> Head<'_> {
    let Summary { span_us, utilisation: [vcpus, memory_mb, disk_gb], rejection_rate, packing_density } =
        Summary::of(outcome);
    Head {
        policy: &outcome.policy,
        complete: outcome.complete,
        hosts: outcome.hosts,
        capacity: outcome.capacity,
        started_us: outcome.started_us,
        ended_us: outcome.ended_us,
        span_us,
        totals: outcome.totals,
        rejection_rate,
        mean_used: outcome.mean_used,
        peak_used: outcome.peak_used,
        final_used: outcome.end().used,
        final_stranded: outcome.end().stranded,
        utilisation: Classes { vcpus, memory_mb, disk_gb },
        packing_density,
        peak_busy_hosts: outcome.peak_busy_hosts,
        peak_running_vms: outcome.peak_running_vms,
        placements_sha256: outcome.placements_sha256.as_deref(),
    }
}
