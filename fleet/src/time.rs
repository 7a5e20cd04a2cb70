//! Times that callers pass in.

use std::time::Duration;

use berth_placement::Timestamp;

/// A time of the monotonic clock, in microseconds since some moment of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// The time that has passed since an earlier moment; zero since a later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The moment that is `time` later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// A moment by both clocks. An operator or NTP can set the wall clock, so whether a host is up
/// depends on the monotonic one.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For people and records.
    pub wall: Timestamp,
    /// For everything that expires.
    pub monotonic: Monotonic,
}
