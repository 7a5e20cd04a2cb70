//! Fence records: a host that is down is cut off from power or storage, so nothing runs there any
//! longer.
//!
//! A host that sends no heartbeats may still run its guests. Only an operator or a fencing command
//! knows that it does not, and the record says so. The record ends with the next heartbeat: as long
//! as it exists, the host has sent none since.

use berth_placement::Timestamp;

use super::{Host, HostStatus};
use crate::Fleet;
use crate::error::{FleetError, HOST_UP, NOT_FENCED};
use crate::time::Moment;

/// The statement that nothing runs on a host that is down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fence {
    /// When it was made. The host has sent no heartbeat since.
    pub at: Timestamp,
    /// The user that made it.
    pub user: String,
    /// Whether a fencing command has succeeded. Else it is an operator's word.
    pub by_command: bool,
}

impl Fleet {
    /// Checks that a host may be fenced: it is down.
    ///
    /// # Errors
    /// An unknown host, one that is up, or one whose agent may not have reconnected since the
    /// service started.
    pub fn check_down(&self, name: &str, now: Moment) -> Result<(), FleetError> {
        self.known_host(name)?;
        if self.connections.is_up(name) {
            let message = format!("host {name:?} is up: its agent sends heartbeats");
            return Err(FleetError::precondition(HOST_UP, message));
        }
        if self.is_young(now) && !self.connections.knows(name) {
            let message = format!(
                "host {name:?} may be up: the service started less than {} s ago, and its agent may not have reconnected",
                self.options.down_after.as_secs()
            );
            return Err(FleetError::precondition(HOST_UP, message));
        }
        Ok(())
    }

    /// Records that nothing runs on a host any longer.
    ///
    /// # Errors
    /// As [`Self::check_down`].
    pub fn fence_host(
        &mut self,
        name: &str,
        user: &str,
        by_command: bool,
        now: Moment,
    ) -> Result<(), FleetError> {
        self.check_down(name, now)?;
        let fence = Fence { at: now.wall, user: user.to_owned(), by_command };
        let host = Host { fence: Some(fence), ..self.known_host(name)?.clone() };
        self.state.put_host(host);
        tracing::warn!(host = name, user, by_command, "the host is fenced");
        Ok(())
    }

    /// Checks that nothing runs on a host: it is down, and was fenced since its last heartbeat.
    ///
    /// # Errors
    /// As [`Self::check_down`], or no fence record.
    pub fn check_fenced(&self, name: &str, now: Moment) -> Result<(), FleetError> {
        self.check_down(name, now)?;
        if self.known_host(name)?.fence.is_some() {
            return Ok(());
        }
        let message = format!(
            "host {name:?} is down and not fenced since its last heartbeat: its guests may still run. Power it off, then say so \
             (--fenced), or configure serve.fence_command"
        );
        Err(FleetError::precondition(NOT_FENCED, message))
    }

    /// Whether nothing runs on the host.
    pub(crate) fn is_fenced(&self, name: &str) -> bool {
        !self.connections.is_up(name) && self.state.host(name).is_some_and(|host| host.fence.is_some())
    }

    /// Whether a host with a fence record is up.
    #[must_use]
    pub fn has_outlived_fence(&self, name: &str) -> bool {
        self.connections.is_up(name) && self.state.host(name).is_some_and(|host| host.fence.is_some())
    }

    /// Ends the fence record of a host that is up: it says nothing about what runs there from now
    /// on.
    pub fn end_fence(&mut self, name: &str) {
        if !self.has_outlived_fence(name) {
            return;
        }
        if let Some(host) = self.state.host(name) {
            let host = Host { fence: None, ..host.clone() };
            tracing::warn!(host = name, "the host is back: its fence record ends");
            self.state.put_host(host);
        }
    }

    /// Disables a host whose instances are evacuated. Its provider does not follow until
    /// [`Self::publish_status`].
    pub(crate) fn disable_evacuated(&mut self, name: &str) {
        let Some(host) = self.state.host(name).filter(|host| host.status == HostStatus::Enabled) else {
            return;
        };
        let host = Host {
            status: HostStatus::Disabled,
            reason: "its instances were evacuated".to_owned(),
            ..host.clone()
        };
        self.state.put_host(host);
        self.note_hosts([name]);
    }

    /// Checks that a host has removed what is left of instances that were evacuated from it.
    pub(crate) fn check_cleaned(&self, name: &str) -> Result<(), FleetError> {
        let is_left = |uuid: &uuid::Uuid| {
            let instance = self.state.instance(*uuid);
            instance.is_some_and(|instance| instance.is_evacuated_from(name))
        };
        let left = self.state.on_host(name).filter(is_left).count();
        if left == 0 {
            return Ok(());
        }
        let message = format!(
            "host {name:?} may still have what is left of {left} instances that were evacuated from it: its agent has to remove that \
             first"
        );
        Err(FleetError::precondition("CLEANUP_PENDING", message))
    }
}
