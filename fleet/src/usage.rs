//! What the instances of a project use, and what its quota allows.

use crate::flavor::Flavor;
use crate::quota::Quota;

/// A sum over instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) instances: u64,
    pub(crate) vcpus: u64,
    pub(crate) memory_mb: u64,
}

impl Usage {
    pub(crate) fn add(&mut self, flavor: &Flavor) {
        self.instances += 1;
        self.vcpus += u64::from(flavor.vcpus);
        self.memory_mb += u64::from(flavor.memory_mb);
    }

    pub(crate) fn subtract(&mut self, flavor: &Flavor) {
        self.instances -= 1;
        self.vcpus -= u64::from(flavor.vcpus);
        self.memory_mb -= u64::from(flavor.memory_mb);
    }

    /// How many more instances of the flavor the quota allows, at most `wanted`, and the limit that allows no more.
    pub(crate) fn allowed(&self, quota: &Quota, flavor: &Flavor, wanted: u64) -> (u64, &'static str) {
        let of = |limit: Option<u64>, used: u64, each: u64| match limit {
            Some(limit) if each > 0 => limit.saturating_sub(used) / each,
            _ => u64::MAX,
        };
        let limits = [
            (of(quota.instances, self.instances, 1), "instances"),
            (of(quota.vcpus, self.vcpus, flavor.vcpus.into()), "vcpus"),
            (of(quota.memory_mb, self.memory_mb, flavor.memory_mb.into()), "memory_mb"),
        ];
        let (allowed, limit) = limits.into_iter().min().expect("there are three");
        (allowed.min(wanted), limit)
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
        assert_eq!(usage.allowed(&quota, &flavor, 5), (2, "vcpus"));
        assert_eq!(usage.allowed(&quota, &flavor, 1), (1, "vcpus"));
        assert_eq!(usage.allowed(&Quota { instances: Some(0), ..quota }, &flavor, 5).0, 0);
        assert_eq!(usage.allowed(&Quota::default(), &flavor, 5).0, 5);
        usage.subtract(&flavor);
        assert_eq!(usage, Usage::default());
    }
}
