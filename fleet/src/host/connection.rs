//! Agents join, send heartbeats and leave.

use uuid::Uuid;

use super::{Host, HypervisorInfo, Session};
use crate::Fleet;
use crate::error::{FleetError, OTHER_AGENT};
use crate::time::Moment;

/// The first message of an agent.
#[derive(Debug, Clone, Default)]
pub struct Introduction {
    /// The name of its host.
    pub host: String,
    /// The UUID of its host.
    pub uuid: Uuid,
    /// Identifies the run of the agent.
    pub boot_nonce: String,
    /// The hypervisor of the host.
    pub hypervisor: Option<HypervisorInfo>,
}

impl Fleet {
    /// Connects an agent until it leaves ([`Self::leave`]).
    ///
    /// # Errors
    /// An unknown host ([`Self::admit`]), or one whose agent is connected.
    pub fn join(&mut self, introduction: &Introduction, now: Moment) -> Result<Session, FleetError> {
        let Introduction { host, uuid, boot_nonce, hypervisor } = introduction;
        // It may have been deleted since it was admitted.
        if !self.knows_host(host, *uuid)? {
            return Err(FleetError::not_found("host", host));
        }
        let patience = self.options.down_after;
        let session = self.connections.connect((host, boot_nonce), patience, now).map_err(|silence| {
            let message = format!(
                "another agent speaks for host {host:?}: its last sign of life came {:.1} s ago. Check whether two machines have \
                 this name and UUID",
                silence.as_secs_f64()
            );
            FleetError::precondition(OTHER_AGENT, message)
        })?;
        if let Some(known) = self.state.host(host)
            && known.hypervisor != *hypervisor
        {
            let host = Host { hypervisor: hypervisor.clone(), ..known.clone() };
            self.state.put_host(host);
        }
        Ok(session)
    }

    /// Applies a heartbeat. Nothing else makes a host up: without its hypervisor, an agent stays
    /// connected but sends none.
    pub fn heartbeat(&mut self, host: &str, session: Session, disk_available_gb: u32, now: Moment) {
        if self.connections.beat(host, session, disk_available_gb, now) {
            tracing::info!(host, "the host is up");
            self.note_hosts([host]);
            self.has_risen = true;
        }
    }

    /// Whether this is the latest connection of the host's agent.
    #[must_use]
    pub fn is_current(&self, host: &str, session: Session) -> bool {
        self.connections.is_current(host, session)
    }

    /// Ends a session. A host whose agent shut down gracefully is down at once.
    pub fn leave(&mut self, host: &str, session: Session, is_graceful: bool, now: Moment) {
        if self.connections.disconnect(host, session, is_graceful, now.wall) {
            tracing::info!(host, "the agent has shut down");
            self.note_hosts([host]);
        }
    }

    /// Marks hosts without heartbeats for too long as down.
    pub fn expire_hosts(&mut self, now: Moment) {
        let expired = self.connections.expire(self.options.down_after, now);
        for host in &expired {
            tracing::warn!(host, "the host is down: its agent sends no heartbeats");
        }
        self.note_hosts(expired.iter().map(String::as_str));
    }

    /// The session to which desired guests of the host can be sent: its agent is connected and has
    /// reported all its guests.
    #[must_use]
    pub fn reconciled_session(&self, host: &str) -> Option<Session> {
        self.connections.reconciled_session(host)
    }
}
