//! Tests of whole pages and whole JSON documents.

use serde_json::Value;

use super::{Heading, ReplayProvenance, html, json};
use crate::outcome::{Sample, Share, SimulationOutcome, Totals};

const HEADING: Heading<'_> = Heading {
    title: "A title",
    trace: "a trace",
    fleet: "a fleet",
    version: "1.2.3",
    command: "berth replay --hosts 'my hosts.csv'",
};
const HOUR: u64 = 3_600_000_000;
const CAPACITY: Share = share(1_000, 4_000_000, 50_000);
const CHARTS: usize = 7;

const fn share(vcpus: u64, memory_mb: u64, disk_gb: u64) -> Share {
    Share { vcpus, memory_mb, disk_gb }
}

/// Ten hosts filling up: 10 more VMs every hour, one of which is rejected.
fn sample(hour: u64) -> Sample {
    Sample {
        at_us: 7 * HOUR + hour * HOUR,
        used: share(10 * hour, 20_000 * hour, 100 * hour),
        stranded: share(hour, 1_000 * hour, 0),
        running_vms: 9 * hour,
        busy_hosts: hour.div_ceil(10),
        busy_vcpus: 100 * hour.div_ceil(10),
        placed: 9 * hour,
        rejected: hour,
    }
}

fn outcome(samples: Vec<Sample>) -> SimulationOutcome {
    let end = samples[samples.len() - 1];
    SimulationOutcome {
        policy: "best-fit".to_owned(),
        complete: true,
        hosts: 10,
        capacity: CAPACITY,
        started_us: samples[0].at_us,
        ended_us: end.at_us,
        totals: Totals {
            vms: end.placed + end.rejected,
            placed: end.placed,
            rejected: end.rejected,
            ..Totals::default()
        },
        mean_used: share(end.used.vcpus / 2, end.used.memory_mb / 2, end.used.disk_gb / 2),
        peak_used: end.used,
        peak_busy_hosts: end.busy_hosts,
        peak_running_vms: end.running_vms,
        placements_sha256: None,
        samples,
    }
}

fn two_days() -> SimulationOutcome {
    outcome((0..=48).map(sample).collect())
}

fn page(outcome: &SimulationOutcome) -> String {
    html(outcome, &HEADING).expect("a page")
}

fn parsed(outcome: &SimulationOutcome) -> Value {
    serde_json::from_str(&of_outcome(outcome)).expect("valid JSON")
}

/// Runs with something missing. Each must give a page, without NaN.
fn edge_cases() -> Vec<(&'static str, SimulationOutcome)> {
    let nothing = Sample { used: share(0, 0, 0), stranded: share(0, 0, 0), running_vms: 0, ..sample(0) };
    let rejecting = |hour| Sample { at_us: hour * HOUR, rejected: 5 * hour, ..nothing };
    let mut no_disk = two_days();
    no_disk.capacity.disk_gb = 0;
    let mut no_hosts = outcome((0..9).map(rejecting).collect());
    (no_hosts.hosts, no_hosts.capacity) = (0, share(0, 0, 0));
    vec![
        ("zero VMs", outcome(vec![nothing])),
        ("one sample", outcome(vec![sample(3)])),
        ("zero span", outcome(vec![sample(3), sample(3)])),
        ("a microsecond", outcome(vec![sample(3), Sample { at_us: sample(3).at_us + 1, ..sample(3) }])),
        ("all of time", outcome(vec![sample(0), Sample { at_us: u64::MAX, ..sample(3) }])),
        ("no disk", no_disk),
        ("all rejected", outcome((0..9).map(rejecting).collect())),
        ("no hosts", no_hosts),
    ]
}

/// The first error of an XML fragment: quotes, tags that are not closed, a bare `&`.
fn xml_fault(text: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    for piece in text.split('<').skip(1) {
        let Some((tag, content)) = piece.split_once('>') else { return Some(format!("unclosed: {piece}")) };
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or_default();
        if tag.matches('"').count() % 2 == 1 || content.contains('&') {
            return Some(format!("malformed: {piece}"));
        }
        match (tag.starts_with('/'), tag.ends_with('/')) {
            (true, _) if open.pop() != Some(name) => {
                return Some(format!("closes what is not open: {piece}"));
            }
            (false, false) => open.push(name),
            _ => {}
        }
    }
    open.pop().map(|name| format!("not closed: {name}"))
}

fn svgs(page: &str) -> Vec<&str> {
    let end = "</svg>";
    page.match_indices("<svg ")
        .map(|(start, _)| &page[start..start + page[start..].find(end).expect("an end") + end.len()])
        .collect()
}

#[test]
fn the_same_outcome_gives_the_same_bytes() {
    assert_eq!(page(&two_days()), page(&two_days()));
    assert_eq!(of_outcome(&two_days()), of_outcome(&two_days()));
}

#[test]
fn a_full_run_has_every_chart_as_well_formed_svg() {
    let page = page(&two_days());
    let svgs = svgs(&page);
    assert_eq!(svgs.len(), CHARTS);
    assert!(!page.contains("Nothing to show"));
    for svg in svgs {
        assert_eq!(xml_fault(svg), None);
        assert!(svg.contains("hours since the start of the trace"));
    }
}

#[test]
fn the_page_is_self_contained() {
    let page = page(&two_days()).replace("http://www.w3.org/2000/svg", "");
    for outside in ["<script", "<link", "<img", "src=", "href=", "http:", "https:", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn free_text_is_escaped() {
    let bad = r#"<b onclick="x('&')">{title}"#;
    let heading = Heading { title: bad, trace: bad, fleet: bad, version: bad, command: bad };
    let page = html(&SimulationOutcome { policy: bad.to_owned(), ..two_days() }, &heading).expect("a page");
    assert!(!page.contains("<b "));
    assert_eq!(page.matches("&lt;b onclick=&quot;x(&#39;&amp;&#39;)&quot;&gt;{title}").count(), 7);
}

/// A policy named with U+202E was shown backwards.
#[test]
fn invisible_characters_are_spelled_out() {
    let bad = "a\u{202e}b\u{1b}[2J\nc";
    let heading = Heading { title: bad, trace: bad, fleet: bad, version: bad, command: bad };
    let page = html(&SimulationOutcome { policy: bad.to_owned(), ..two_days() }, &heading).expect("a page");
    assert!(!page.contains(['\u{202e}', '\u{1b}']));
    assert_eq!(page.matches("a\\u{202e}b\\u{1b}[2J\\u{a}c").count(), 7);
}

#[test]
fn a_partial_result_says_so_and_when_it_ended() {
    let partial = page(&SimulationOutcome { complete: false, ..two_days() });
    assert!(partial.contains("Partial result"));
    assert!(partial.contains("after 2 d of trace time and 480 VMs"));
    assert!(!page(&two_days()).contains("Partial result"));
}

#[test]
fn the_page_shows_key_figures() {
    let page = page(&two_days());
    for (name, value) in [("VMs arrived", "480"), ("VMs placed", "90.0 %"), ("VMs rejected", "10.0 %")] {
        assert!(page.contains(&format!("{name}</p><p class=\"value\">{value}</p>")), "{name}");
    }
    assert!(page.contains("Used, mean</th><td>24.0 %</td><td>12.0 %</td><td>4.8 %</td>"));
    assert!(page.contains("Packing density</p><p class=\"value\">96.0 %</p>"));
    assert!(page.contains("Capacity</th><td>1,000</td><td>3,906 GiB</td><td>48.8 TiB</td>"));
    assert!(page.contains("<dt>Berth</dt><dd>1.2.3</dd>"));
    assert!(
        page.contains("<dt>Command</dt><dd><code>berth replay --hosts &#39;my hosts.csv&#39;</code></dd>")
    );
    assert!(
        page.contains("Peak hosts in use</p><p class=\"value\">5</p><p class=\"detail\">of 10 hosts</p>")
    );
}

#[test]
fn edge_cases_have_a_page_without_faulty_numbers() {
    for (case, outcome) in edge_cases() {
        let page = page(&outcome);
        assert!(!page.contains("NaN") && !page.contains(">inf"), "{case}");
        svgs(&page).iter().for_each(|svg| assert_eq!(xml_fault(svg), None, "{case}"));
        assert_eq!(svgs(&page).len() + page.matches("Nothing to show").count(), CHARTS, "{case}");
        assert!(parsed(&outcome)["summary"].is_object(), "{case}");
    }
}

#[test]
fn a_chart_without_lines_says_why() {
    for (case, reason, charts) in [
        ("zero VMs", "no VM arrived", CHARTS),
        ("one sample", "all VMs arrived at the same moment", CHARTS),
        ("all rejected", "no host was in use", 1),
        ("all rejected", "no VM was placed", 1),
        ("no hosts", "the fleet has no capacity", 2),
        ("no hosts", "the fleet has no hosts", 1),
    ] {
        let outcome = edge_cases().into_iter().find(|edge| edge.0 == case).expect("a case").1;
        assert_eq!(
            page(&outcome).matches(&format!("Nothing to show: {reason}.")).count(),
            charts,
            "{case}: {reason}"
        );
    }
}

#[test]
fn a_class_the_fleet_lacks_has_no_line() {
    let outcome = edge_cases().into_iter().find(|edge| edge.0 == "no disk").expect("a case").1;
    assert!(!page(&outcome).contains("</i>Disk"));
    assert_eq!(page(&two_days()).matches("</i>Disk").count(), 2, "used and stranded");
    assert_eq!(parsed(&outcome)["summary"]["utilisation"]["disk_gb"], Value::Null);
}

fn of_outcome(outcome: &SimulationOutcome) -> String {
    let provenance = ReplayProvenance {
        version: "1",
        trace: "a trace",
        fleet: "a fleet",
        command: "berth replay",
        seed: Some(7),
    };
    json(outcome, &provenance)
}

#[test]
fn the_json_says_what_was_replayed() {
    let provenance = &parsed(&two_days())["provenance"];
    assert_eq!(provenance["trace"], "a trace");
    assert_eq!((&provenance["fleet"], &provenance["seed"]), (&"a fleet".into(), &7.into()));
}

#[test]
fn the_json_holds_totals_ratios_and_samples() {
    let report = parsed(&two_days());
    let summary = &report["summary"];
    assert_eq!(report["version"], 1);
    assert_eq!(summary["policy"], "best-fit");
    assert_eq!(summary["complete"], true);
    assert_eq!(summary["span_us"], 48 * HOUR);
    assert_eq!(summary["totals"]["rejected"], 48);
    assert_eq!(summary["rejection_rate"], 0.1);
    assert_eq!(summary["packing_density"], 0.96);
    assert_eq!(summary["utilisation"]["vcpus"]["mean"], 0.24);
    assert_eq!(summary["utilisation"]["memory_mb"]["peak"], 0.24);
    assert_eq!(summary["utilisation"]["disk_gb"]["final"], 0.096);
    assert_eq!(report["samples"].as_array().map(Vec::len), Some(49));
    assert_eq!(report["samples"][48]["used"]["vcpus"], 480);
}

#[test]
fn intervals_of_the_rejection_rate_add_up_to_all_arrivals() {
    use super::series::Timeline;
    let outcome = outcome((0..=500).map(sample).collect());
    let points = Timeline::of(&outcome).rejection_rate().series.remove(0).points;
    assert_eq!(points.len() % 2, 0);
    assert!(points.len() <= 120, "{}", points.len());
    assert!(points.iter().all(|point| point.1.is_some_and(|rate| (rate - 10.0).abs() < 1e-9)));
    assert_eq!(points.first().map(|point| point.0), Some(0.0));
    assert_eq!(points.last().map(|point| point.0), Some(500.0 / 24.0));
}
