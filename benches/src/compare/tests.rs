//! Verdicts on synthetic rounds with known differences.

use berth_traces::rng::stream;
use rand::Rng;

use super::*;
use crate::report::tests::report;

/// Rounds around `centre`, each off by a sum of uniform draws whose standard deviation is `noise`
/// times the centre.
fn rounds(seed: u64, count: usize, centre: f64, noise: f64) -> Vec<f64> {
    let mut random = stream(seed, "rounds");
    let mut normal = || (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
    (0..count).map(|_| centre * (1.0 + noise * normal())).collect()
}

fn verdict(base: &[f64], new: &[f64]) -> RowVerdict {
    compare(&report(&[("a", base)]), &report(&[("a", new)]), CompareOptions::default()).rows[0].verdict
}

#[test]
fn equal_distributions_raise_no_alarm() {
    let alarms = |count, noise| {
        let alarm = |seed: &u64| {
            let (base, new) = (rounds(2 * seed, count, 1e4, noise), rounds(2 * seed + 1, count, 1e4, noise));
            matches!(verdict(&base, &new), RowVerdict::Slower | RowVerdict::Faster)
        };
        (0..100).filter(alarm).count()
    };
    assert_eq!(alarms(7, 0.02), 0);
    assert_eq!(alarms(30, 0.10), 0);
    // These rounds vary by half: chance may raise one alarm in a hundred.
    assert!(alarms(7, 0.20) <= 2, "{} alarms", alarms(7, 0.20));
}

#[test]
fn ten_percent_more_is_found_through_small_noise() {
    for seed in 0..50 {
        let (base, new) = (rounds(2 * seed, 9, 1e4, 0.01), rounds(2 * seed + 1, 9, 1.1e4, 0.01));
        assert_eq!(verdict(&base, &new), RowVerdict::Slower, "seed {seed}: {base:?} {new:?}");
        assert_eq!(verdict(&new, &base), RowVerdict::Faster, "seed {seed}");
    }
}

#[test]
fn a_change_below_the_threshold_is_none() {
    assert_eq!(verdict(&rounds(1, 9, 1e4, 0.003), &rounds(2, 9, 1.02e4, 0.003)), RowVerdict::Same);
}

#[test]
fn numbers_of_rounds_may_differ() {
    assert_eq!(verdict(&rounds(1, 5, 1e4, 0.01), &rounds(2, 21, 1.2e4, 0.01)), RowVerdict::Slower);
    assert_eq!(verdict(&rounds(1, 21, 1e4, 0.005), &rounds(2, 5, 1e4, 0.005)), RowVerdict::Same);
}

#[test]
fn without_variance_the_ratio_alone_decides() {
    assert_eq!(verdict(&[100.0; 5], &[100.0; 5]), RowVerdict::Same);
    assert_eq!(verdict(&[100.0; 5], &[120.0; 5]), RowVerdict::Slower);
    assert_eq!(verdict(&[100.0; 5], &[80.0; 5]), RowVerdict::Faster);
}

#[test]
fn few_rounds_give_no_verdict() {
    assert_eq!(verdict(&[100.0; 4], &[200.0; 4]), RowVerdict::Unclear);
    assert_eq!(verdict(&[100.0], &[200.0]), RowVerdict::Unclear);
    assert_eq!(verdict(&[100.0], &[101.0]), RowVerdict::Same);
}

#[test]
fn a_wide_interval_is_unclear() {
    let base = [100.0, 140.0, 90.0, 150.0, 100.0, 120.0];
    assert_eq!(verdict(&base, &[130.0, 100.0, 160.0, 95.0, 140.0, 120.0]), RowVerdict::Unclear);
}

#[test]
fn more_per_second_is_faster() {
    let rates = |rounds: &[f64]| {
        let mut report = report(&[("a", rounds)]);
        report.rows[0].unit = RowUnit::PerSecond;
        report
    };
    let compared = |base: &[f64], new: &[f64]| {
        compare(&rates(base), &rates(new), CompareOptions::default()).rows[0].verdict
    };
    assert_eq!(compared(&[1e5; 5], &[1.3e5; 5]), RowVerdict::Faster);
    assert_eq!(compared(&[1e5; 5], &[0.8e5; 5]), RowVerdict::Slower);
}

#[test]
fn the_same_input_gives_the_same_interval() {
    let (base, new) = (rounds(1, 9, 1e4, 0.05), rounds(2, 9, 1e4, 0.05));
    assert_eq!(ratio_interval(&new, &base, 0.99), ratio_interval(&new, &base, 0.99));
    let wide = ratio_interval(&new, &base, 0.999);
    let narrow = ratio_interval(&new, &base, 0.8);
    assert!(wide.low < narrow.low && narrow.high < wide.high);
    assert!(narrow.low <= narrow.estimate && narrow.estimate <= narrow.high);
}

#[test]
fn rows_of_one_side_are_listed() {
    let base = report(&[("kept", &[1.0; 5]), ("gone", &[1.0; 5])]);
    let mut new = report(&[("added", &[1.0; 5]), ("kept", &[1.0; 5])]);
    let comparison = compare(&base, &new, CompareOptions::default());
    assert!(!comparison.regressed());
    let listed: Vec<_> = comparison.unmatched.iter().map(|(row, why)| (row.name.as_str(), *why)).collect();
    assert_eq!(listed, [("added", "only in the new report"), ("gone", "only in the base")]);
    let text = table(&comparison);
    assert!(text.contains("not compared, only in the base: gone hosts=1000"), "{text}");
    assert!(
        text.ends_with(
            "0 slower, 0 faster, 1 same, 0 unclear, 2 not compared; threshold 5%, confidence 99%\n"
        )
    );

    // Other parameters make another row, another unit cannot be compared.
    new.rows[1].unit = RowUnit::PerSecond;
    assert_eq!(compare(&base, &new, CompareOptions::default()).rows.len(), 0);
    new.rows[1].parameters.clear();
    assert_eq!(compare(&base, &new, CompareOptions::default()).unmatched.len(), 4);
}

#[test]
fn regressions_come_first_and_other_machines_are_noticed() {
    let base = report(&[("a", &[100.0; 5]), ("b", &[100.0; 5])]);
    let mut new = report(&[("a", &[100.0; 5]), ("b", &[150.0; 5])]);
    new.machine.cpu = "other".to_owned();
    let comparison = compare(&base, &new, CompareOptions::default());
    assert!(comparison.regressed());
    let text = table(&comparison);
    assert!(text.starts_with("warning: the processors differ"), "{text}");
    let (slower, same) = (text.find("SLOWER").unwrap(), text.find("same ").unwrap());
    assert!(slower < same && text.contains("+50.0%"), "{text}");
}
