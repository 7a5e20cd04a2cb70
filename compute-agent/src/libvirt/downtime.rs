//! How long a guest may be paused at the end of a live migration: the longer it takes to send it,
//! the longer.

use std::time::Duration;

/// A guest counts for no less, in GiB.
const LEAST_GIB: f64 = 2.0;

/// Nova's settings `libvirt.live_migration_downtime`, `_steps` and `_delay`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Downtime {
    /// The longest, in milliseconds.
    pub most_ms: u32,
    /// How many times it is raised; at least 1.
    pub steps: u32,
    /// The seconds from one step to the next, for each GiB.
    pub delay_s: u32,
}

/// From when on which downtime is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct DowntimeStep {
    /// Since the guest is sent.
    pub(super) after: Duration,
    /// The downtime, in milliseconds.
    pub(super) millis: u64,
}

impl Default for Downtime {
    fn default() -> Self {
        Self { most_ms: 500, steps: 10, delay_s: 75 }
    }
}

impl Downtime {
    /// The steps of a guest whose memory and disks have so many GiB. The formula and its roundings
    /// are Nova's.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounds down, as Nova does")]
    pub(super) fn steps(self, gib: f64) -> Vec<DowntimeStep> {
        let delay = (f64::from(self.delay_s) * gib) as u64;
        let base = f64::from(self.most_ms) / f64::from(self.steps);
        let offset = (f64::from(self.most_ms) - base) / f64::from(self.steps);
        let step = |number: u32| DowntimeStep {
            after: Duration::from_secs(delay * u64::from(number)),
            millis: (base + offset * f64::from(number)) as u64,
        };
        (0..=self.steps).map(step).collect()
    }
}

/// The GiB that count for a guest, given those of its memory and of the disks that are sent.
pub(super) fn data_gib(memory: f64, disks: &[f64]) -> f64 {
    memory.max(LEAST_GIB) + disks.iter().map(|disk| disk.max(LEAST_GIB)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings, GiB, and what Nova 34.0.0 (`nova.virt.libvirt.migration.downtime_steps`) makes of
    /// them: seconds and milliseconds.
    type Case = ((u32, u32, u32), f64, &'static [(u64, u64)]);

    const NOVA: [Case; 6] = [
        (
            (500, 10, 75),
            2.5,
            &[
                (0, 50),
                (187, 95),
                (374, 140),
                (561, 185),
                (748, 230),
                (935, 275),
                (1122, 320),
                (1309, 365),
                (1496, 410),
                (1683, 455),
                (1870, 500),
            ],
        ),
        (
            (400, 10, 30),
            7.3,
            &[
                (0, 40),
                (219, 76),
                (438, 112),
                (657, 148),
                (876, 184),
                (1095, 220),
                (1314, 256),
                (1533, 292),
                (1752, 328),
                (1971, 364),
                (2190, 400),
            ],
        ),
        ((100, 3, 3), 2.0, &[(0, 33), (6, 55), (12, 77), (18, 100)]),
        ((100, 3, 3), 7.3, &[(0, 33), (21, 55), (42, 77), (63, 100)]),
        (
            (700, 7, 10),
            3.0,
            &[(0, 100), (30, 185), (60, 271), (90, 357), (120, 442), (150, 528), (180, 614), (210, 700)],
        ),
        (
            (700, 7, 10),
            7.3,
            &[(0, 100), (73, 185), (146, 271), (219, 357), (292, 442), (365, 528), (438, 614), (511, 700)],
        ),
    ];

    #[test]
    fn steps_are_those_of_nova() {
        for ((most_ms, steps, delay_s), gib, expected) in NOVA {
            let found = Downtime { most_ms, steps, delay_s }.steps(gib);
            let found: Vec<_> = found.iter().map(|step| (step.after.as_secs(), step.millis)).collect();
            assert_eq!(found, expected, "{most_ms} ms, {steps} steps, {delay_s} s, {gib} GiB");
        }
        assert_eq!(Downtime::default(), Downtime { most_ms: 500, steps: 10, delay_s: 75 });
    }

    #[test]
    fn small_guests_and_disks_count_for_two_gib() {
        assert!((data_gib(0.5, &[]) - 2.0).abs() < f64::EPSILON);
        assert!((data_gib(3.5, &[0.1, 4.0]) - 9.5).abs() < f64::EPSILON);
    }
}
