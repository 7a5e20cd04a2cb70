//! The monotonic clock, for everything that is waited for or grows old.
//!
//! [`crate::service::now`] is the other clock of the service: wall-clock time, for what people and other machines read. An operator
//! or NTP may set it forward or back at any moment. `docs/clocks.md` lists which use needs which clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A moment of the monotonic clock: microseconds since the process first read it. It means nothing to another process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Monotonic(pub(crate) u64);

impl Monotonic {
    /// The time that has passed since an earlier moment; zero since a later one.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The moment that is `time` later.
    pub(crate) fn after(self, time: Duration) -> Self {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// Reads the monotonic clock.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the edge: what depends on time gets it as an argument"
)]
pub(crate) fn monotonic() -> Monotonic {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    Monotonic(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
}
