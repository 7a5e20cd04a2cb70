//! What instances of a project amount to, and what they may.

use super::entry::{Flavor, Quota};

/// A sum over instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) instances: u64,
    pub(super) vcpus: u64,
    pub(super) memory_mb: u64,
}

impl Usage {
    pub(super) fn add(&mut self, flavor: &Flavor) {
        self.instances += 1;
        self.vcpus += u64::from(flavor.vcpus);
        self.memory_mb += u64::from(flavor.memory_mb);
    }

    pub(super) fn subtract(&mut self, flavor: &Flavor) {
        self.instances -= 1;
        self.vcpus -= u64::from(flavor.vcpus);
        self.memory_mb -= u64::from(flavor.memory_mb);
    }

    /// How many more instances of the flavor the quota allows, at most `wanted`; and which of its limits allows no more.
    pub(super) fn room(&self, quota: &Quota, flavor: &Flavor, wanted: u64) -> (u64, &'static str) {
        let of = |limit: Option<u64>, used: u64, each: u64| match limit {
            Some(limit) if each > 0 => limit.saturating_sub(used) / each,
            _ => u64::MAX,
        };
        let limits = [
            (of(quota.instances, self.instances, 1), "instances"),
            (of(quota.vcpus, self.vcpus, flavor.vcpus.into()), "vcpus"),
            (of(quota.memory_mb, self.memory_mb, flavor.memory_mb.into()), "memory_mb"),
        ];
        let (room, limit) = limits.into_iter().min().expect("there are three");
        (room.min(wanted), limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_limit_counts() {
        let flavor = Flavor { vcpus: 2, memory_mb: 1024, ..Flavor::default() };
        let mut usage = Usage::default();
        usage.add(&flavor);
        let quota = Quota { instances: Some(10), vcpus: Some(7), memory_mb: None };
        assert_eq!(usage.room(&quota, &flavor, 5), (2, "vcpus"));
        assert_eq!(usage.room(&quota, &flavor, 1), (1, "vcpus"));
        assert_eq!(usage.room(&Quota { instances: Some(0), ..quota }, &flavor, 5).0, 0);
        assert_eq!(usage.room(&Quota::default(), &flavor, 5).0, 5);
        usage.subtract(&flavor);
        assert_eq!(usage, Usage::default());
    }
}
