//! Versions of etcd, and what is wrong with old ones.

use std::fmt;
use std::str::FromStr;

/// The version of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EtcdVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

/// A bug that etcd fixed.
struct Fixed {
    /// The releases with the fix: the patch of each minor version of major version 3, in order.
    /// Later minor versions have it from the start.
    patches: &'static [(u32, u32)],
    bug: &'static str,
}

/// What matters to a client that trusts etcd with its only copy; the worst first.
const FIXED: [Fixed; 4] = [
    Fixed {
        patches: &[(4, 0), (5, 3)],
        bug: "a member that is killed under load can lose or diverge from data that was acknowledged \
              (etcd 3.5.0 to 3.5.2; fixed in 3.5.3)",
    },
    Fixed {
        patches: &[(4, 31), (5, 13)],
        bug: "a watch can lose events after a compaction (etcd issue 17529; fixed in 3.4.31 and 3.5.13)",
    },
    Fixed {
        patches: &[(4, 42), (5, 28), (6, 9)],
        bug: "with authentication, clients without a right to it can revoke leases, raise alarms and compact \
              (CVE-2026-33413), and read and write all keys in nested transactions (GHSA-rfx7-8w68-q57q) \
              (fixed in 3.4.42, 3.5.28 and 3.6.9)",
    },
    Fixed { patches: &[(4, u32::MAX), (5, 28), (6, 9)], bug: "etcd 3.4 receives no fixes any more" },
];

impl EtcdVersion {
    /// The worst known bug of the version that can harm this client; `None` if there is none.
    #[must_use]
    pub fn known_bug(self) -> Option<&'static str> {
        let lacks = |fixed: &&Fixed| {
            let patch = fixed.patches.iter().find(|(minor, _)| *minor == self.minor);
            let first = fixed.patches.first().map_or(0, |(minor, _)| *minor);
            match patch {
                Some((_, patch)) => self.patch < *patch,
                None => self.minor < first,
            }
        };
        if self.major != 3 {
            return (self.major < 3).then_some("its API has no transactions");
        }
        FIXED.iter().find(lacks).map(|fixed| fixed.bug)
    }
}

impl FromStr for EtcdVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split('-').next().unwrap_or_default().splitn(3, '.');
        let numbers: Option<Vec<u32>> = numbers.map(|number| number.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[major, minor, patch]) => Ok(Self { major, minor, patch }),
            _ => Err(format!("{text:?} is not a version of etcd")),
        }
    }
}

impl fmt::Display for EtcdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { major, minor, patch } = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bug(version: &str) -> Option<&'static str> {
        version.parse::<EtcdVersion>().unwrap().known_bug()
    }

    #[test]
    fn bugs_are_known_by_version() {
        for (version, words) in [
            ("3.3.25", "fixed in 3.5.3"),
            ("3.4.23", "lose events"),
            ("3.4.31", "CVE-2026-33413"),
            ("3.4.44", "no fixes any more"),
            ("3.5.1", "killed under load"),
            ("3.5.12", "lose events"),
            ("3.5.27", "CVE-2026-33413"),
            ("3.6.0-rc.3", "CVE-2026-33413"),
            ("3.6.8", "CVE-2026-33413"),
            ("2.3.8", "no transactions"),
        ] {
            assert!(bug(version).is_some_and(|bug| bug.contains(words)), "{version}: {:?}", bug(version));
        }
        for version in ["3.5.28", "3.5.34", "3.6.9", "3.7.0", "4.0.0"] {
            assert_eq!(bug(version), None, "{version}");
        }
        assert_eq!("3.x.1".parse::<EtcdVersion>().unwrap_err(), "\"3.x.1\" is not a version of etcd");
    }
}
