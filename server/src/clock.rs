//! The monotonic clock, for everything that is waited for or grows old.
//!
//! [`crate::service::now`] is the other clock of the service: wall-clock time, for what people and
//! other machines read. An operator or NTP may set it forward or back at any moment.
//! `docs/clocks.md` lists which use needs which clock.

use std::sync::OnceLock;
use std::time::Instant;

pub(crate) use berth_fleet::Monotonic;

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
