//! What checks, descriptions and scaled traces say of small traces whose answers are known.

use berth_traces::inspect::{check, describe, load};
use berth_traces::scale::{DAY, Drawn, as_vms, by_factor, growing, repeated, resample, unchanged};
use berth_traces::{HostShapes, Micros, Vm};

use crate::vm;

const HOUR: u64 = 3_600_000_000;

/// One VM of 2 vCPU each hour for ten days, for five hours.
fn hourly() -> Vec<Vm> {
    (0..240)
        .map(|hour| {
            vm(&hour.to_string(), (hour * HOUR, Some((hour + 5) * HOUR)), (2, 1024, 10), "m", Some(hour))
        })
        .collect()
}

fn names(vms: &[Vm], hosts: &str) -> Vec<(&'static str, u64)> {
    let hosts = hosts.parse::<HostShapes>().map(|fleet| fleet.hosts()).unwrap_or_default();
    check(vms, &hosts).findings.iter().map(|finding| (finding.name, finding.vms)).collect()
}

#[test]
fn a_sound_trace_has_nothing_wrong() {
    assert_eq!(names(&hourly(), "64x256:1"), []);
    assert!(!check(&hourly(), &[]).is_wrong());
    assert_eq!(names(&[], "64x256:1"), []);
}

#[test]
fn what_cannot_be_right_is_found() {
    let mut vms = hourly();
    vms[7].id = "6".into();
    vms[8].resources.vcpus = 0;
    vms[9].resources.memory_mb = 0;
    vms[10].departure = Some(Micros(u64::MAX));
    vms[11].departure = Some(vms[11].arrival);
    vms[12].resources.vcpus = 5000;
    vms[13].departure = None;
    let found = names(&vms, "64x256:1");
    for expected in [
        ("duplicate-id", 1),
        ("no-vcpus", 1),
        ("no-memory", 1),
        ("too-long", 1),
        ("instant", 1),
        ("too-large", 1),
        ("never-fits", 1),
        ("open-ended", 1),
    ] {
        assert!(found.contains(&expected), "{expected:?} is not in {found:?}");
    }
    assert!(check(&vms, &[]).is_wrong());
    let message = &check(&vms, &"1x1:1".parse::<HostShapes>().unwrap().hosts()).findings;
    let never: Vec<_> = message.iter().filter(|finding| finding.name == "never-fits").collect();
    assert!(
        never.iter().any(|finding| finding.message.starts_with("of flavor \"m\" (2 vCPU, 1024 MiB, 10 GB)")),
        "{never:?}"
    );
}

#[test]
fn a_cold_start_and_a_gap_are_reported() {
    let long: Vec<Vm> = hourly()
        .into_iter()
        .map(|vm| Vm { departure: Some(Micros(vm.arrival.0 + 72 * HOUR)), ..vm })
        .collect();
    let check = check(&long, &[]);
    let cold = check.findings.iter().find(|finding| finding.name == "cold-start").expect("it starts cold");
    assert!(!cold.is_wrong && (60..80).contains(&cold.vms), "{cold:?}");
    let gap: Vec<Vm> =
        hourly().into_iter().filter(|vm| !(30 * HOUR..90 * HOUR).contains(&vm.arrival.0)).collect();
    assert_eq!(names(&gap, ""), [("gap", 1)]);
}

#[test]
fn a_description_has_the_known_numbers() {
    let description = describe(&hourly()).unwrap();
    assert_eq!(description.vms, 240);
    assert_eq!(description.hourly.iter().sum::<u64>(), 240);
    assert_eq!(description.lifetimes.unwrap(), [18_000.0; 7]);
    assert_eq!(description.load.peak, [5, 10, 5 * 1024, 50]);
    assert_eq!(description.batches, (240, 1));
    // Ten hours less for the last five VMs, which run over the end.
    let expected = 2.0 * (235.0 * 5.0 + 4.0 + 3.0 + 2.0 + 1.0);
    assert!((description.vcpu_hours - expected).abs() < 1e-6, "{}", description.vcpu_hours);
    assert!((load(&hourly()).mean[1] - expected / 239.0).abs() < 1e-6);
    assert_eq!(describe(&[]), None);
}

#[test]
fn resampled_days_keep_the_hours() {
    let vms = hourly();
    let drawn = resample(&vms, 7);
    assert_eq!(drawn, resample(&vms, 7));
    assert_ne!(drawn, resample(&vms, 8));
    assert!(drawn.is_sorted_by_key(|vm| vm.arrival));
    for of in &drawn {
        let original = &vms[of.vm as usize];
        assert_eq!((of.arrival.0 + DAY * 20 - original.arrival.0) % DAY, 0, "the hour of the day stays");
        assert_eq!(of.departure(&vms).unwrap().0 - of.arrival.0, 5 * HOUR);
    }
    assert_eq!(drawn.len(), 240, "every day has as many VMs here");
}

#[test]
fn factors_and_growth_change_the_number_of_vms() {
    let vms = hourly();
    assert_eq!(by_factor(&vms, 1.0, 1), unchanged(&vms));
    assert_eq!(by_factor(&vms, 3.0, 1).len(), 720);
    let half = by_factor(&vms, 0.5, 1);
    assert!((90..150).contains(&half.len()), "{}", half.len());
    assert_eq!(by_factor(&vms, 0.0, 1), []);
    let year = repeated(&unchanged(&vms), Micros(365 * DAY));
    assert_eq!(year.len(), 365 * 24 + 1);
    let year = as_vms(&vms, &year);
    assert_eq!((year[240].id.as_str(), year[240].arrival.0), ("0+1", 10 * DAY));
    let grown = growing(&year, 0.1, 1);
    let (early, late): (Vec<Drawn>, Vec<Drawn>) =
        grown.iter().copied().partition(|vm| vm.arrival.0 < 182 * DAY);
    let ratio = late.len() as f64 / early.len() as f64;
    assert!((1.6..1.95).contains(&ratio), "ten per cent a month are 1.77 in half a year, not {ratio}");
}
