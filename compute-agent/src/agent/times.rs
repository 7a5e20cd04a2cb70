//! Timers of the agent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use berth_api::v1::Welcome;
use tokio::time::Instant;
use uuid::Uuid;

use crate::MonotonicMicros;

/// Timers of heartbeats, refreshes and guests.
#[derive(Debug)]
pub(super) struct Times {
    start: Instant,
    heartbeat: Option<Beat>,
    refresh: Option<Beat>,
    guests: BinaryHeap<Reverse<(MonotonicMicros, Uuid)>>,
}

#[derive(Clone, Copy, Debug)]
struct Beat {
    every: MonotonicMicros,
    at: MonotonicMicros,
}

/// The timers that have expired.
#[derive(Default, Debug)]
pub(super) struct Due {
    pub(super) heartbeat: bool,
    pub(super) refresh: bool,
    pub(super) guests: Vec<Uuid>,
}

impl Times {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), heartbeat: None, refresh: None, guests: BinaryHeap::new() }
    }

    pub(super) fn now(&self) -> MonotonicMicros {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Applies the intervals that the service asks for; 0 turns a timer off. The first heartbeat is
    /// due at once, because it brings the host up.
    pub(super) fn welcome(&mut self, welcome: &Welcome) {
        let now = self.now();
        self.heartbeat = Beat::new(welcome.heartbeat_ms, now);
        self.refresh = Beat::new(welcome.refresh_ms, now);
        self.hasten_heartbeat();
    }

    /// The next heartbeat is due at once.
    pub(super) fn hasten_heartbeat(&mut self) {
        let now = self.now();
        if let Some(beat) = &mut self.heartbeat {
            beat.at = now;
        }
    }

    pub(super) fn no_heartbeats(&mut self) {
        self.heartbeat = None;
    }

    pub(super) fn wake_guest(&mut self, instance: Uuid, at: MonotonicMicros) {
        self.guests.push(Reverse((at, instance)));
    }

    /// Waits until something is due.
    pub(super) async fn next(&self) {
        let beats = [self.heartbeat, self.refresh].into_iter().flatten().map(|beat| beat.at);
        match beats.chain(self.guests.peek().map(|Reverse((at, _))| *at)).min() {
            Some(at) => tokio::time::sleep_until(self.start + Duration::from_micros(at)).await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn take_due(&mut self) -> Due {
        let now = self.now();
        let mut due = Due {
            heartbeat: Beat::take(&mut self.heartbeat, now),
            refresh: Beat::take(&mut self.refresh, now),
            guests: Vec::new(),
        };
        while let Some(&Reverse((at, instance))) = self.guests.peek()
            && at <= now
        {
            self.guests.pop();
            due.guests.push(instance);
        }
        due
    }
}

impl Beat {
    fn new(every_ms: u32, now: MonotonicMicros) -> Option<Self> {
        let every = u64::from(every_ms) * 1000;
        (every > 0).then_some(Self { every, at: now + every })
    }

    /// Whether it is due. If so, the next is one interval from now: missed beats are skipped.
    fn take(beat: &mut Option<Self>, now: MonotonicMicros) -> bool {
        match beat {
            Some(beat) if beat.at <= now => {
                beat.at = now + beat.every;
                true
            }
            _ => false,
        }
    }
}
