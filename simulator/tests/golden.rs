//! Compares the placements of the reference workloads, by the first digits of their SHA-256, with
//! those of the reference oracle. Other seeds are compared with the naive simulator.

mod naive;

use berth_scheduler::{Policy, Search};
use berth_simulator::{SimulationOptions, report};
use berth_traces::{Vm, reference};
use naive::simulated;
use sha2::{Digest, Sha256};

fn options(policy: Policy, search: Search) -> SimulationOptions {
    SimulationOptions { policy, search }
}

fn vms_of(set: &reference::ReferenceSet) -> Vec<Vm> {
    set.vms().collect::<Result<_, _>>().expect("generated")
}

/// The numbers of placed and rejected VMs, and the digest of the placements file.
fn result_of(set: &str, options: SimulationOptions) -> (u64, u64, String) {
    let set = reference::set(set).expect("a known set");
    let (recorder, outcome) = simulated(&set.hosts(), set.vms().map(Result::unwrap), options);
    let digest = Sha256::digest(&recorder.csv);
    let start = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    (outcome.totals.placed, outcome.totals.rejected, start)
}

/// `(placed, rejected, digest)` for policies in the order of `Policy::ALL`, or for the first of
/// them.
fn assert_golden(set: &str, search: Search, expected: &[(u64, u64, &str)]) {
    for (policy, &(placed, rejected, digest)) in Policy::ALL.into_iter().zip(expected) {
        let expected = (placed, rejected, digest.to_owned());
        assert_eq!(result_of(set, options(policy, search)), expected, "{set} {policy}");
    }
}

const TINY: [(u64, u64, &str); 4] =
    [(492, 108, "b51bc189"), (494, 106, "843109c1"), (499, 101, "52d7eaf7"), (501, 99, "4b195cfe")];
const MIXED: [(u64, u64, &str); 4] = [
    (15_719, 4_281, "ba0fe0e5"),
    (15_678, 4_322, "dc6fccd9"),
    (15_876, 4_124, "c02bb2fb"),
    (16_049, 3_951, "e27c1afb"),
];
const S1K: [(u64, u64, &str); 4] =
    [(100_000, 0, "54ab0ca5"), (100_000, 0, "544c00cd"), (100_000, 0, "4f9e9ab0"), (99_538, 462, "406f3bb7")];

#[test]
fn tiny_is_placed_as_by_the_reference() {
    assert_golden("tiny", Search::Ranked, &TINY);
    assert_golden("tiny", Search::Exhaustive, &TINY);
}

#[test]
fn mixed_is_placed_as_by_the_reference() {
    assert_golden("mixed", Search::Ranked, &MIXED);
    assert_golden("mixed", Search::Exhaustive, &MIXED);
}

#[test]
fn s1k_is_placed_as_by_the_reference() {
    assert_golden("s1k", Search::Ranked, &S1K);
}

#[test]
#[ignore = "a million VMs on 10,000 hosts: seconds in release builds"]
fn s10k_is_placed_as_by_the_reference() {
    let placed = |digest| (1_000_000, 0, digest);
    assert_golden("s10k", Search::Ranked, &["d49bfddf", "c9b55856", "d632e6b0"].map(placed));
}

#[test]
#[ignore = "a million VMs on 100,000 hosts: seconds in release builds"]
fn s100k_is_placed_as_by_the_reference() {
    let placed = |digest| (1_000_000, 0, digest);
    assert_golden("s100k", Search::Ranked, &["078ac0ea", "eaedbbdd", "3dbfc488"].map(placed));
}

/// Places the big set with the exhaustive search too, which the ranked search must equal.
#[test]
#[ignore = "minutes"]
fn s1k_is_placed_as_by_the_reference_with_exhaustive_search() {
    assert_golden("s1k", Search::Exhaustive, &S1K);
}

#[test]
fn other_seeds_are_placed_as_by_the_naive_simulator() {
    for (name, seeds) in [("tiny", 100..112), ("mixed", 200..201)] {
        for seed in seeds {
            let set = reference::set(name).unwrap().with_seed(seed);
            let (hosts, mut vms) = (set.hosts(), vms_of(&set));
            vms.truncate(8000);
            for policy in Policy::ALL {
                let (expected, _) = naive::replay(&hosts, &vms, policy);
                let (found, _) = simulated(&hosts, vms.clone(), options(policy, Search::Ranked));
                assert!(found.placements == expected, "{name} seed {seed} {policy}");
            }
        }
    }
}

/// The same seed gives the same bytes; another seed gives others.
#[test]
fn a_run_can_be_repeated_to_the_byte() {
    let heading =
        report::Heading { title: "twice", trace: "mixed", fleet: "300 hosts", ..report::Heading::default() };
    let bytes_of = |seed| {
        let set = reference::set("mixed").unwrap().with_seed(seed);
        let (recorder, outcome) = simulated(&set.hosts(), vms_of(&set), SimulationOptions::default());
        (
            recorder.csv,
            report::json(&outcome, &report::ReplayProvenance::default()),
            report::html(&outcome, &heading).unwrap(),
        )
    };
    let first = bytes_of(77);
    assert!(first == bytes_of(77), "the same run gave other bytes");
    assert!(first.1 != bytes_of(78).1, "the seed does not matter");
}
