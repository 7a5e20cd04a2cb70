//! What the instances of a project use, and what its quota allows.

use crate::flavor::Flavor;
use crate::instance::Instance;
use crate::quota::Quota;

/// A sum over instances.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) instances: u64,
    pub(crate) vcpus: u64,
    pub(crate) memory_mb: u64,
}

/// What an instance counts for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) vcpus: u64,
    pub(crate) memory_mb: u64,
}

impl From<&Flavor> for Size {
    fn from(flavor: &Flavor) -> Self {
        Self { vcpus: flavor.vcpus.into(), memory_mb: flavor.memory_mb.into() }
    }
}

impl Size {
    /// What an instance counts for. While it is resized, it may end with either flavor, and counts
    /// for the larger amounts.
    pub(crate) fn of(instance: &Instance) -> Self {
        let own = Self::from(&instance.spec.flavor);
        let Some(migration) = instance.migration() else { return own };
        let [old, new] = [&migration.old_flavor, &migration.new_flavor].map(Self::from);
        Self { vcpus: old.vcpus.max(new.vcpus), memory_mb: old.memory_mb.max(new.memory_mb) }
    }
}

impl Usage {
    pub(crate) fn add(&mut self, size: Size) {
        self.instances += 1;
        self.vcpus += size.vcpus;
        self.memory_mb += size.memory_mb;
    }

    pub(crate) fn subtract(&mut self, size: Size) {
        self.instances -= 1;
        self.vcpus -= size.vcpus;
        self.memory_mb -= size.memory_mb;
    }

    /// The limit that an instance of one size would exceed if it got another.
    pub(crate) fn exceeded_by_growth(&self, quota: &Quota, old: Size, new: Size) -> Option<&'static str> {
        let exceeds = |limit: Option<u64>, used: u64, old: u64, new: u64| {
            new > old && limit.is_some_and(|limit| used - old + new > limit)
        };
        [
            (exceeds(quota.vcpus, self.vcpus, old.vcpus, new.vcpus), "vcpus"),
            (exceeds(quota.memory_mb, self.memory_mb, old.memory_mb, new.memory_mb), "memory_mb"),
        ]
        .into_iter()
        .find_map(|(exceeds, limit)| exceeds.then_some(limit))
    }

    /// How many more instances of the flavor the quota allows, at most `wanted`, and the limit that
    /// allows no more.
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
        usage.add(Size::from(&flavor));
        let quota = Quota { instances: Some(10), vcpus: Some(7), ..Quota::default() };
        assert_eq!(usage.allowed(&quota, &flavor, 5), (2, "vcpus"));
        assert_eq!(usage.allowed(&quota, &flavor, 1), (1, "vcpus"));
        assert_eq!(usage.allowed(&Quota { instances: Some(0), ..quota }, &flavor, 5).0, 0);
        assert_eq!(usage.allowed(&Quota::default(), &flavor, 5).0, 5);
        usage.subtract(Size::from(&flavor));
        assert_eq!(usage, Usage::default());
    }

    #[test]
    fn growth_is_what_counts() {
        let usage = Usage { instances: 2, vcpus: 6, memory_mb: 4096 };
        let quota = Quota { instances: Some(1), vcpus: Some(8), memory_mb: Some(4096), ..Quota::default() };
        let size = |vcpus, memory_mb| Size { vcpus, memory_mb };
        let old = size(2, 1024);
        assert_eq!(usage.exceeded_by_growth(&quota, old, size(4, 1024)), None);
        assert_eq!(usage.exceeded_by_growth(&quota, old, size(5, 1024)), Some("vcpus"));
        assert_eq!(usage.exceeded_by_growth(&quota, old, size(1, 1025)), Some("memory_mb"));
        // A quota below the use does not keep an instance from shrinking.
        let quota = Quota { vcpus: Some(1), ..quota };
        assert_eq!(usage.exceeded_by_growth(&quota, old, size(1, 512)), None);
    }
}
