//! Whether the clock is right.

use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use super::Check;

const NAME: &str = "clock";

/// A difference that is none: the date of a response has a resolution of a second, and takes a
/// while.
const CLOSE: Duration = Duration::from_secs(5);

/// Compares the clock with the time of Keystone's answer, and asks systemd whether it follows a
/// time server.
pub(super) fn check(keystone: Option<SystemTime>) -> Check {
    judge(SystemTime::now(), keystone, is_synchronized())
}

fn judge(now: SystemTime, keystone: Option<SystemTime>, is_synchronized: Option<bool>) -> Check {
    let apart = keystone.map(|other| now.duration_since(other).unwrap_or_else(|early| early.duration()));
    match (apart, is_synchronized) {
        (Some(apart), _) if apart > CLOSE => Check::failed(
            NAME,
            format!(
                "differs from that of Keystone by {} s: tokens seem to expire too early or too late",
                apart.as_secs()
            ),
        ),
        (_, Some(false)) => Check::warning(NAME, "follows no time server: `timedatectl` shows why"),
        (Some(_), _) => Check::ok(NAME, "agrees with that of Keystone"),
        (None, Some(true)) => Check::ok(NAME, "follows a time server"),
        (None, None) => Check::ok(NAME, "there is nothing to compare it with"),
    }
}

/// What systemd says; `None` where it does not run.
fn is_synchronized() -> Option<bool> {
    let mut command = Command::new("timedatectl");
    command
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    match output.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::CheckState;
    use super::*;

    #[test]
    fn clocks_are_compared() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let state =
            |keystone: Option<u64>, synchronized| judge(at(1_000), keystone.map(at), synchronized).state;
        assert_eq!(state(Some(998), None), CheckState::Ok);
        assert_eq!(state(Some(940), Some(true)), CheckState::Failed);
        assert_eq!(state(Some(1_060), Some(true)), CheckState::Failed);
        assert_eq!(state(Some(1_000), Some(false)), CheckState::Warning);
        assert_eq!(state(None, None), CheckState::Ok);
    }
}
