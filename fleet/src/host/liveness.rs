//! The connections of agents, and which hosts are up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use berth_placement::Timestamp;
use uuid::Uuid;

use crate::time::{Moment, Monotonic};

/// The connections of agents since the service started. They are not stored.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    hosts: BTreeMap<String, Connection>,
}

/// The latest connection of a host's agent.
#[derive(Debug)]
struct Connection {
    session: Session,
    /// Identifies the run of the agent.
    boot_nonce: String,
    /// When the agent connected, or sent its last heartbeat since.
    last_sign: Monotonic,
    /// The last heartbeat. Whether the host is up depends on this clock, which cannot be set.
    last_beat: Monotonic,
    is_connected: bool,
    /// The last heartbeat, and since when the host is up or down, for operators.
    last_seen: Timestamp,
    is_up: bool,
    since: Timestamp,
    /// The guests that the agent reported in this session.
    reported: BTreeSet<Uuid>,
    /// Whether these are all.
    has_reported_all: bool,
    disk_available_gb: u32,
    /// Warnings about the agent's reports in this session.
    warnings: u32,
}

/// The most warnings about an agent's reports in one session.
pub(crate) const MAX_WARNINGS: u32 = 100;

/// One connection of an agent. A later one of the same host has a larger number, and ends it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session(u64);

/// Whether a host is up, and since when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Liveness {
    /// Whether it is up.
    pub is_up: bool,
    /// Whether its agent is connected.
    pub is_connected: bool,
    /// The last heartbeat.
    pub last_seen: Timestamp,
    /// Since when it is up or down.
    pub since: Timestamp,
}

impl Connections {
    /// Connects an agent, and ends the session before. While another agent is connected whose last
    /// sign of life is more recent than `patience`, none takes its place: then this returns how
    /// long ago that was.
    pub(crate) fn connect(
        &mut self,
        (host, boot_nonce): (&str, &str),
        patience: Duration,
        now: Moment,
    ) -> Result<Session, Duration> {
        if let Some(known) = self.hosts.get(host)
            && known.is_connected
            && known.boot_nonce != boot_nonce
        {
            let silence = now.monotonic.since(known.last_sign);
            if silence < patience {
                return Err(silence);
            }
        }
        let before = self.hosts.remove(host);
        let session = Session(before.as_ref().map_or(0, |known| known.session.0) + 1);
        // A connection by itself does not mean that the host is up.
        let liveness = before.map(|known| (known.last_beat, known.last_seen, known.is_up, known.since));
        let (last_beat, last_seen, is_up, since) =
            liveness.unwrap_or((now.monotonic, now.wall, false, now.wall));
        let connection = Connection {
            session,
            boot_nonce: boot_nonce.to_owned(),
            last_sign: now.monotonic,
            last_beat,
            is_connected: true,
            last_seen,
            is_up,
            since,
            reported: BTreeSet::new(),
            has_reported_all: false,
            disk_available_gb: u32::MAX,
            warnings: 0,
        };
        self.hosts.insert(host.to_owned(), connection);
        Ok(session)
    }

    fn current(&mut self, host: &str, session: Session) -> Option<&mut Connection> {
        self.hosts.get_mut(host).filter(|known| known.session == session)
    }

    /// Applies a heartbeat; returns whether the host was down before. A session that has ended
    /// changes nothing.
    pub(crate) fn beat(&mut self, host: &str, session: Session, disk_available_gb: u32, now: Moment) -> bool {
        let Some(known) = self.current(host, session) else { return false };
        (known.last_sign, known.last_beat, known.last_seen) = (now.monotonic, now.monotonic, now.wall);
        known.disk_available_gb = disk_available_gb;
        let rises = !known.is_up;
        if rises {
            (known.is_up, known.since) = (true, now.wall);
        }
        rises
    }

    /// Counts a warning about a report of the agent; returns its number in this session, from 1.
    pub(crate) fn count_warning(&mut self, host: &str, session: Session) -> u32 {
        let Some(known) = self.current(host, session) else { return 0 };
        known.warnings = known.warnings.saturating_add(1);
        known.warnings
    }

    pub(crate) fn disk_available(&self, host: &str) -> Option<u32> {
        self.hosts.get(host).map(|known| known.disk_available_gb).filter(|&gb| gb != u32::MAX)
    }

    /// Ends a session. The host stays up until no heartbeat arrives for too long, unless the agent
    /// shut down gracefully. Returns whether the host was up before and is down.
    pub(crate) fn disconnect(
        &mut self,
        host: &str,
        session: Session,
        is_graceful: bool,
        now: Timestamp,
    ) -> bool {
        let Some(known) = self.current(host, session) else { return false };
        known.is_connected = false;
        let falls = is_graceful && known.is_up;
        if falls {
            (known.is_up, known.since) = (false, now);
        }
        falls
    }

    pub(crate) fn is_current(&self, host: &str, session: Session) -> bool {
        self.hosts.get(host).is_some_and(|known| known.session == session)
    }

    /// Marks the hosts without heartbeats for longer than the limit as down; returns those that
    /// were up before.
    pub(crate) fn expire(&mut self, limit: Duration, now: Moment) -> Vec<String> {
        let mut expired = Vec::new();
        for (host, known) in &mut self.hosts {
            if known.is_up && now.monotonic.since(known.last_beat) > limit {
                (known.is_up, known.since) = (false, now.wall);
                expired.push(host.clone());
            }
        }
        expired
    }

    /// Whether its agent has connected since the service started.
    pub(crate) fn knows(&self, host: &str) -> bool {
        self.hosts.contains_key(host)
    }

    pub(crate) fn is_up(&self, host: &str) -> bool {
        self.hosts.get(host).is_some_and(|known| known.is_up)
    }

    pub(crate) fn liveness(&self, host: &str) -> Liveness {
        self.hosts.get(host).map_or_else(Liveness::default, |known| Liveness {
            is_up: known.is_up,
            is_connected: known.is_connected,
            last_seen: known.last_seen,
            since: known.since,
        })
    }

    /// Notes that the agent has reported all its guests; returns whether the session is the current
    /// one.
    pub(crate) fn note_all_reported(&mut self, host: &str, session: Session) -> bool {
        self.current(host, session).map(|known| known.has_reported_all = true).is_some()
    }

    /// The session of an agent that is connected and has reported all its guests. Before that, a
    /// guest that is missing may be either lost or not built yet.
    pub(crate) fn reconciled_session(&self, host: &str) -> Option<Session> {
        let known = self.hosts.get(host).filter(|known| known.is_connected && known.has_reported_all);
        known.map(|known| known.session)
    }

    /// Notes that the agent has reported the guest.
    pub(crate) fn note_report(&mut self, host: &str, session: Session, guest: Uuid) {
        if let Some(known) = self.current(host, session) {
            known.reported.insert(guest);
        }
    }

    pub(crate) fn has_reported(&self, host: &str, guest: Uuid) -> bool {
        self.hosts.get(host).is_some_and(|known| known.reported.contains(&guest))
    }

    pub(crate) fn forget(&mut self, host: &str) {
        self.hosts.remove(host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const PATIENCE: Duration = Duration::from_secs(3);

    /// A number of seconds after the start, at an hour of the wall clock.
    fn at_hour(hour: u64, seconds: u64) -> Moment {
        let wall = Timestamp((hour * 3600 + seconds) * SECOND);
        Moment { wall, monotonic: Monotonic(seconds * SECOND) }
    }

    fn at(seconds: u64) -> Moment {
        at_hour(12, seconds)
    }

    /// An operator or NTP sets the clock: no host that sends heartbeats goes down, and none that
    /// sends none stays up, or keeps another agent out.
    #[test]
    fn a_wall_clock_that_is_set_changes_no_liveness() {
        for hour in [10, 14] {
            let mut agents = Connections::default();
            let connect = |agents: &mut Connections, nonce, now| agents.connect(("h", nonce), PATIENCE, now);
            let session = connect(&mut agents, "a", at(1)).unwrap();
            assert!(agents.beat("h", session, 9, at(2)));
            assert!(agents.expire(Duration::from_secs(5), at_hour(hour, 7)).is_empty(), "set to {hour}:00");
            assert_eq!(agents.expire(Duration::from_secs(5), at_hour(hour, 8)), ["h"], "set to {hour}:00");
            assert_eq!(agents.liveness("h").since, at_hour(hour, 8).wall);
            assert!(agents.beat("h", session, 9, at(9)), "set back to 12:00");
            assert_eq!(connect(&mut agents, "b", at_hour(hour, 10)), Err(Duration::from_secs(1)));
            connect(&mut agents, "b", at_hour(hour, 12)).unwrap();
        }
    }

    #[test]
    fn a_host_is_up_from_its_first_heartbeat_until_they_stop() {
        let mut agents = Connections::default();
        let session = agents.connect(("h", ""), PATIENCE, at(1)).unwrap();
        assert!(!agents.is_up("h"));
        assert!(agents.beat("h", session, 9, at(2)) && !agents.beat("h", session, 9, at(3)));
        assert!(agents.expire(Duration::from_secs(5), at(8)).is_empty() && agents.is_up("h"));
        assert_eq!(agents.expire(Duration::from_secs(5), at(9)), ["h"]);
        assert!(agents.expire(Duration::from_secs(5), at(20)).is_empty() && !agents.is_up("h"));
        assert!(agents.beat("h", session, 9, at(21)));
    }

    #[test]
    fn reconnecting_keeps_no_host_up() {
        let mut agents = Connections::default();
        let session = agents.connect(("h", ""), PATIENCE, at(1)).unwrap();
        assert!(agents.beat("h", session, 9, at(1)));
        agents.connect(("h", ""), PATIENCE, at(5)).unwrap();
        assert!(agents.is_up("h"));
        assert_eq!(agents.expire(Duration::from_secs(5), at(7)), ["h"]);
    }

    #[test]
    fn a_session_that_has_ended_changes_nothing() {
        let mut agents = Connections::default();
        let old = agents.connect(("h", ""), PATIENCE, at(1)).unwrap();
        let new = agents.connect(("h", ""), PATIENCE, at(2)).unwrap();
        assert!(!agents.is_current("h", old) && agents.is_current("h", new));
        assert!(!agents.beat("h", old, 9, at(3)) && agents.beat("h", new, 9, at(3)));
        assert!(!agents.disconnect("h", old, true, at(4).wall) && agents.is_up("h"));
        assert!(agents.disconnect("h", new, true, at(4).wall) && !agents.is_up("h"));
    }

    /// Two clones displaced each other forever, and guests were started on both.
    #[test]
    fn a_second_agent_is_refused_while_the_first_gives_signs_of_life() {
        let mut agents = Connections::default();
        let connect =
            |agents: &mut Connections, nonce, seconds| agents.connect(("h", nonce), PATIENCE, at(seconds));
        let first = connect(&mut agents, "a", 1).unwrap();
        assert_eq!(connect(&mut agents, "b", 3), Err(Duration::from_secs(2)));
        assert!(agents.beat("h", first, 9, at(3)));
        assert_eq!(connect(&mut agents, "b", 5), Err(Duration::from_secs(2)));
        assert!(agents.is_current("h", first));
        // The first may connect again at any time, even if its end was not noticed.
        let again = connect(&mut agents, "a", 5).unwrap();
        assert_eq!(connect(&mut agents, "", 7), Err(Duration::from_secs(2)));
        // It is silent for too long, or has gone.
        let second = connect(&mut agents, "b", 8).unwrap();
        assert!(!agents.is_current("h", again));
        agents.disconnect("h", second, false, at(8).wall);
        connect(&mut agents, "c", 8).unwrap();
    }
}
