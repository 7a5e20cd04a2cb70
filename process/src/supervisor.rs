//! What a program reports to the service manager that started it (sd_notify(3)). Without one,
//! nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

/// The program serves.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The program is alive; `status` is shown by `systemctl status`.
pub fn alive(status: &str) {
    notify(&[NotifyState::Watchdog, NotifyState::Status(status)]);
}

/// The program is about to end.
pub fn stopping(status: &str) {
    notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
}

/// How often [`alive`] has to be called, if the service manager waits for it: half of the time
/// after which it would end the program.
#[must_use]
pub fn alive_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|time| time / 2)
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager does not get the state of this process");
    }
}
