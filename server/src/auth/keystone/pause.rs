//! The pause after a login of the service user that failed.
//!
//! However many tokens come meanwhile, nobody logs in before it is over. A password that Keystone
//! refuses is tried ever more rarely, since Keystone may lock users after some attempts.

use std::time::{Duration, Instant};

/// After the first failure, and after every one for which the password was not to blame.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

/// Whether a login may be tried.
#[derive(Default)]
pub(super) struct Pause {
    after: Duration,
    ends: Option<Instant>,
    reason: String,
}

impl Pause {
    /// Why no login may be tried now: what the last one failed for.
    pub(super) fn reason(&self, now: Instant) -> Option<&str> {
        self.ends.filter(|&ends| now < ends).map(|_| self.reason.as_str())
    }

    /// A login has failed; the next one has to wait.
    pub(super) fn begin(&mut self, now: Instant, was_refused: bool, reason: String) {
        self.after = if was_refused { (self.after * 2).clamp(SHORTEST, LONGEST) } else { SHORTEST };
        self.ends = Some(now + self.after);
        self.reason = reason;
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
mod tests {
    use super::*;

    #[test]
    fn refused_logins_wait_ever_longer() {
        let (mut pause, mut now) = (Pause::default(), Instant::now());
        assert_eq!(pause.reason(now), None);
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            pause.begin(now, true, "refused".to_owned());
            let end = now + Duration::from_secs(seconds);
            assert_eq!(pause.reason(end - Duration::from_millis(1)), Some("refused"));
            assert_eq!(pause.reason(end), None);
            now = end;
        }
    }

    #[test]
    fn a_keystone_that_was_away_is_asked_again_soon() {
        let (mut pause, now) = (Pause::default(), Instant::now());
        for _ in 0..5 {
            pause.begin(now, false, "away".to_owned());
        }
        assert_eq!(pause.reason(now + SHORTEST), None);
    }
}
