//! The agents of hosts: when they come and go, and which hosts are up.

use std::sync::atomic::Ordering;
use std::time::Duration;

use berth_api::v1;
use berth_api::v1::service_message::Message;

use super::parse_uuid;
use crate::clock::monotonic;
use crate::fleet::Fleet;
use crate::fleet::agents::{Moment, Session};
use crate::fleet::entry::{Host, Hypervisor};
use crate::fleet::error::FleetError;
use crate::fleet::outbox::Sender;
use crate::service::now;

/// A second agent wants to speak for a host.
const OTHER_AGENT: &str = "OTHER_AGENT";

impl FleetError {
    /// Whether there are two agents for one host.
    pub(crate) fn is_other_agent(&self) -> bool {
        matches!(self, Self::Precondition { reason: OTHER_AGENT, .. })
    }
}

impl Fleet {
    /// An agent has introduced itself. It is connected until it leaves ([`Self::leave`]). `has_voucher`: somebody answers for its
    /// host's name and UUID.
    pub(crate) fn join(
        &self,
        hello: &v1::Hello,
        has_voucher: bool,
        sender: Sender,
    ) -> Result<Session, FleetError> {
        let uuid = parse_uuid("hello.host_uuid", &hello.host_uuid)?;
        self.admit(&hello.host, uuid, has_voucher)?;
        let hypervisor = hello.hypervisor.clone().map(Hypervisor::from);
        self.transact(|fleet| {
            let known = fleet.state.hosts.get(&hello.host).filter(|known| known.uuid() == uuid);
            // It may have been deleted since.
            let known = known.ok_or_else(|| FleetError::not_found("host", &hello.host))?;
            // First of all: what the agent of a clone says is not taken.
            let session = self.connect(hello, sender)?;
            if known.hypervisor != hypervisor {
                let host = Host { hypervisor, ..known.clone() };
                fleet.put_host(host);
            }
            Ok(session)
        })
    }

    fn connect(&self, hello: &v1::Hello, sender: Sender) -> Result<Session, FleetError> {
        let agent = (hello.host.as_str(), hello.boot_nonce.as_str());
        self.agents.connect(agent, sender, self.options.down_after, moment()).map_err(|silence| {
            let message = format!(
                "another agent speaks for host {:?}: its last sign of life came {:.1} s ago. Are there two machines with this \
                 name and UUID?",
                hello.host,
                silence.as_secs_f64()
            );
            FleetError::precondition(OTHER_AGENT, message)
        })
    }

    /// A message to the agent of a connection that has just been made.
    pub(crate) fn welcome(&self, host: &str, session: Session) {
        let millis = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let welcome = v1::Welcome {
            heartbeat_ms: millis(self.options.heartbeat),
            refresh_ms: millis(self.options.refresh),
        };
        self.agents.tell(host, session, Message::Welcome(welcome));
    }

    /// The host's tree was not taken: its agent is told why.
    pub(crate) fn refuse_providers(&self, host: &str, session: Session, failure: v1::Failure) {
        self.agents.tell(host, session, Message::ProvidersRefused(failure));
    }

    /// The host is there, and so much of its disks is really free. Nothing else that an agent says makes its host be up: without
    /// its hypervisor an agent goes on to talk, but has no heartbeats.
    pub(crate) fn heartbeat(&self, host: &str, session: Session, disk_available_gb: u32) {
        if self.agents.beat(host, session, disk_available_gb, moment()) {
            tracing::info!(host, "the host is up");
            self.note_hosts([host]);
            self.has_risen.store(true, Ordering::Relaxed);
        }
    }

    /// Whether no other connection of the host has come since.
    pub(crate) fn is_current(&self, host: &str, session: Session) -> bool {
        self.agents.is_current(host, session)
    }

    pub(crate) fn leave(&self, host: &str, session: Session, on_purpose: bool) {
        if self.agents.disconnect(host, session, on_purpose, now()) {
            tracing::info!(host, "the agent has ended");
            self.note_hosts([host]);
        }
    }

    /// Hosts without heartbeats for too long are down.
    pub(in crate::fleet) fn judge_liveness(&self) {
        let silent = self.agents.silent(self.options.down_after, moment());
        for host in &silent {
            tracing::warn!(host, "the host is down: its agent sends no heartbeats");
        }
        self.note_hosts(silent.iter().map(String::as_str));
    }
}

fn moment() -> Moment {
    Moment { wall: now(), monotonic: monotonic() }
}

impl From<v1::Hypervisor> for Hypervisor {
    fn from(told: v1::Hypervisor) -> Self {
        let v1::Hypervisor {
            kind,
            version,
            libvirt_version,
            is_accelerated,
            architecture,
            cpu_model,
            address,
            agent_version,
        } = told;
        Self {
            kind,
            version,
            libvirt_version,
            is_accelerated,
            architecture,
            cpu_model,
            address,
            agent_version,
        }
    }
}
