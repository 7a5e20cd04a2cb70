//! The agents that are connected, and which hosts are up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_api::v1::service_message::Message;
use berth_placement::Timestamp;
use uuid::Uuid;

use super::outbox::Sender;
use crate::clock::Monotonic;

/// Hosts that were heard of since the service started.
#[derive(Default)]
pub(super) struct Agents {
    hosts: Mutex<BTreeMap<String, Known>>,
}

/// What is known of a host beside its record.
#[derive(Debug)]
struct Known {
    session: Session,
    /// Which start of which agent it is.
    boot_nonce: String,
    /// When its agent connected, or sent its last heartbeat since.
    last_sign: Monotonic,
    /// Its last heartbeat: by this clock, which cannot be set, the host is up or down.
    last_beat: Monotonic,
    /// To its agent, as long as it is connected.
    sender: Option<Sender>,
    /// The last heartbeat, and since when the host is up or down, as operators read it.
    last_seen: Timestamp,
    is_up: bool,
    since: Timestamp,
    /// Guests that it has told of in this session.
    reported: BTreeSet<Uuid>,
    /// Whether these are all.
    has_reported_all: bool,
    disk_available_gb: u32,
}

/// One connection of an agent. A later one of the same host has a larger number, and ends it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Session(u64);

/// A moment by both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) wall: Timestamp,
    pub(super) monotonic: Monotonic,
}

/// Whether a host is up, and since when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Liveness {
    pub(crate) is_up: bool,
    pub(crate) is_connected: bool,
    pub(crate) last_seen: Timestamp,
    pub(crate) since: Timestamp,
}

impl Agents {
    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent has connected; the session before, if there was one, is over. While another agent is connected and has given a
    /// sign of life within the `patience`, nobody takes its place: then this returns how long ago that was.
    pub(super) fn connect(
        &self,
        (host, boot_nonce): (&str, &str),
        sender: Sender,
        patience: Duration,
        now: Moment,
    ) -> Result<Session, Duration> {
        let mut hosts = self.hosts();
        if let Some(known) = hosts.get(host)
            && known.sender.is_some()
            && known.boot_nonce != boot_nonce
        {
            let silence = now.monotonic.since(known.last_sign);
            if silence < patience {
                return Err(silence);
            }
        }
        let before = hosts.remove(host);
        let session = Session(before.as_ref().map_or(0, |known| known.session.0) + 1);
        // A connection by itself is no sign that the host is there.
        let liveness = before.map(|known| (known.last_beat, known.last_seen, known.is_up, known.since));
        let (last_beat, last_seen, is_up, since) =
            liveness.unwrap_or((now.monotonic, now.wall, false, now.wall));
        let known = Known {
            session,
            boot_nonce: boot_nonce.to_owned(),
            last_sign: now.monotonic,
            last_beat,
            sender: Some(sender),
            last_seen,
            is_up,
            since,
            reported: BTreeSet::new(),
            has_reported_all: false,
            disk_available_gb: u32::MAX,
        };
        hosts.insert(host.to_owned(), known);
        Ok(session)
    }

    /// The agent says that the host is there; returns whether it is up only since now. A session that is over changes
    /// nothing.
    pub(super) fn beat(&self, host: &str, session: Session, disk_available_gb: u32, now: Moment) -> bool {
        let mut hosts = self.hosts();
        let Some(known) = hosts.get_mut(host).filter(|known| known.session == session) else { return false };
        (known.last_sign, known.last_beat, known.last_seen) = (now.monotonic, now.monotonic, now.wall);
        known.disk_available_gb = disk_available_gb;
        let rises = !known.is_up;
        if rises {
            (known.is_up, known.since) = (true, now.wall);
        }
        rises
    }

    pub(super) fn disk_available(&self, host: &str) -> Option<u32> {
        self.hosts().get(host).map(|known| known.disk_available_gb).filter(|&gb| gb != u32::MAX)
    }

    /// The connection has ended. The host stays up until heartbeats are missing for too long, unless the agent ended on purpose.
    /// Returns whether it is down only since now.
    pub(super) fn disconnect(&self, host: &str, session: Session, on_purpose: bool, now: Timestamp) -> bool {
        let mut hosts = self.hosts();
        let Some(known) = hosts.get_mut(host).filter(|known| known.session == session) else { return false };
        known.sender = None;
        let falls = on_purpose && known.is_up;
        if falls {
            (known.is_up, known.since) = (false, now);
        }
        falls
    }

    pub(super) fn is_current(&self, host: &str, session: Session) -> bool {
        self.hosts().get(host).is_some_and(|known| known.session == session)
    }

    /// The hosts without heartbeats for too long only since now.
    pub(super) fn silent(&self, limit: Duration, now: Moment) -> Vec<String> {
        let mut silent = Vec::new();
        for (host, known) in self.hosts().iter_mut() {
            if known.is_up && now.monotonic.since(known.last_beat) > limit {
                (known.is_up, known.since) = (false, now.wall);
                silent.push(host.clone());
            }
        }
        silent
    }

    pub(super) fn is_up(&self, host: &str) -> bool {
        self.hosts().get(host).is_some_and(|known| known.is_up)
    }

    pub(super) fn liveness(&self, host: &str) -> Liveness {
        self.hosts().get(host).map_or_else(Liveness::default, |known| Liveness {
            is_up: known.is_up,
            is_connected: known.sender.is_some(),
            last_seen: known.last_seen,
            since: known.since,
        })
    }

    /// Sends a wish to an agent that has told of all its guests. Before that, nobody knows whether a guest that is wished for is
    /// still to be made or was lost.
    pub(super) fn send(&self, host: &str, message: Message) {
        let hosts = self.hosts();
        let known = hosts.get(host).filter(|known| known.has_reported_all);
        if let Some(sender) = known.and_then(|known| known.sender.as_ref()) {
            sender.send(message);
        }
    }

    /// Tells the agent of this session something that is no wish.
    pub(super) fn tell(&self, host: &str, session: Session, message: Message) {
        let hosts = self.hosts();
        let known = hosts.get(host).filter(|known| known.session == session);
        if let Some(sender) = known.and_then(|known| known.sender.as_ref()) {
            sender.send(message);
        }
    }

    /// The agent has told of all its guests; returns whether it is connected by this session.
    pub(super) fn note_all_reported(&self, host: &str, session: Session) -> bool {
        let mut hosts = self.hosts();
        let known = hosts.get_mut(host).filter(|known| known.session == session);
        known.map(|known| known.has_reported_all = true).is_some()
    }

    /// The agent has told of the guest.
    pub(super) fn note_report(&self, host: &str, session: Session, guest: Uuid) {
        if let Some(known) = self.hosts().get_mut(host).filter(|known| known.session == session) {
            known.reported.insert(guest);
        }
    }

    pub(super) fn has_reported(&self, host: &str, guest: Uuid) -> bool {
        self.hosts().get(host).is_some_and(|known| known.reported.contains(&guest))
    }

    pub(super) fn forget(&self, host: &str) {
        self.hosts().remove(host);
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;
    use crate::fleet::outbox::channel;

    const SECOND: u64 = 1_000_000;
    const PATIENCE: Duration = Duration::from_secs(3);

    /// So many seconds after the start, by a wall clock that says an hour of its own.
    fn at_hour(hour: u64, seconds: u64) -> Moment {
        let wall = Timestamp((hour * 3600 + seconds) * SECOND);
        Moment { wall, monotonic: Monotonic(seconds * SECOND) }
    }

    fn at(seconds: u64) -> Moment {
        at_hour(12, seconds)
    }

    /// An operator or NTP sets the clock: no host that sends heartbeats goes down, and none that sends none stays up, or keeps another
    /// agent out.
    #[test]
    fn a_wall_clock_that_is_set_changes_no_liveness() {
        for hour in [10, 14] {
            let agents = Agents::default();
            let connect = |nonce, now| {
                let (sender, _receiver) = channel();
                agents.connect(("h", nonce), sender, PATIENCE, now)
            };
            let session = connect("a", at(1)).unwrap();
            assert!(agents.beat("h", session, 9, at(2)));
            assert!(agents.silent(Duration::from_secs(5), at_hour(hour, 7)).is_empty(), "set to {hour}:00");
            assert_eq!(agents.silent(Duration::from_secs(5), at_hour(hour, 8)), ["h"], "set to {hour}:00");
            assert_eq!(agents.liveness("h").since, at_hour(hour, 8).wall);
            assert!(agents.beat("h", session, 9, at(9)), "set back to 12:00");
            assert_eq!(connect("b", at_hour(hour, 10)), Err(Duration::from_secs(1)));
            connect("b", at_hour(hour, 12)).unwrap();
        }
    }

    #[test]
    fn a_host_is_up_from_its_first_heartbeat_until_they_stop() {
        let agents = Agents::default();
        let (sender, _receiver) = channel();
        let session = agents.connect(("h", ""), sender, PATIENCE, at(1)).unwrap();
        assert!(!agents.is_up("h"));
        assert!(agents.beat("h", session, 9, at(2)) && !agents.beat("h", session, 9, at(3)));
        assert!(agents.silent(Duration::from_secs(5), at(8)).is_empty() && agents.is_up("h"));
        assert_eq!(agents.silent(Duration::from_secs(5), at(9)), ["h"]);
        assert!(agents.silent(Duration::from_secs(5), at(20)).is_empty() && !agents.is_up("h"));
        assert!(agents.beat("h", session, 9, at(21)));
    }

    #[test]
    fn to_connect_again_and_again_keeps_no_host_up() {
        let agents = Agents::default();
        let (first, _receiver) = channel();
        let session = agents.connect(("h", ""), first, PATIENCE, at(1)).unwrap();
        assert!(agents.beat("h", session, 9, at(1)));
        let (second, _receiver) = channel();
        agents.connect(("h", ""), second, PATIENCE, at(5)).unwrap();
        assert!(agents.is_up("h"));
        assert_eq!(agents.silent(Duration::from_secs(5), at(7)), ["h"]);
    }

    #[tokio::test]
    async fn a_session_that_is_over_changes_nothing() {
        let agents = Agents::default();
        let (first, mut gone) = channel();
        let (second, _receiver) = channel();
        let old = agents.connect(("h", ""), first, PATIENCE, at(1)).unwrap();
        let new = agents.connect(("h", ""), second, PATIENCE, at(2)).unwrap();
        assert!(gone.next().await.is_none() && !agents.is_current("h", old));
        assert!(!agents.beat("h", old, 9, at(3)) && agents.beat("h", new, 9, at(3)));
        assert!(!agents.disconnect("h", old, true, at(4).wall) && agents.is_up("h"));
        assert!(agents.disconnect("h", new, true, at(4).wall) && !agents.is_up("h"));
    }

    /// Two clones displaced each other for ever, and guests were started on both.
    #[test]
    fn a_second_agent_takes_no_place_while_the_first_gives_signs_of_life() {
        let agents = Agents::default();
        let connect = |nonce, seconds| {
            let (sender, _receiver) = channel();
            agents.connect(("h", nonce), sender, PATIENCE, at(seconds))
        };
        let first = connect("a", 1).unwrap();
        assert_eq!(connect("b", 3), Err(Duration::from_secs(2)));
        assert!(agents.beat("h", first, 9, at(3)));
        assert_eq!(connect("b", 5), Err(Duration::from_secs(2)));
        assert!(agents.is_current("h", first));
        // The first may connect again at any time, also when it was not noticed that it is gone.
        let again = connect("a", 5).unwrap();
        assert_eq!(connect("", 7), Err(Duration::from_secs(2)));
        // It is silent for too long, or has gone.
        let second = connect("b", 8).unwrap();
        assert!(!agents.is_current("h", again));
        agents.disconnect("h", second, false, at(8).wall);
        connect("c", 8).unwrap();
    }
}
