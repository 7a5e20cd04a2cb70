//! Commands about hosts that write provider trees, and the connections of agents.

use std::collections::BTreeSet;

use berth_api::v1::service_message::Message;
use berth_api::{host_name, v1};
use berth_fleet::{
    Aggregate, AggregateChange, FleetError, HostState, HostStatus, IntroducedName, Introduction, Named,
    Session,
};
use berth_placement::{Topology, Writer};
use uuid::Uuid;

use super::FleetHandle;
use super::message::{read_hello, read_tree};
use super::outbox::Sender;

/// The rule for the names of hosts.
fn name_rule(name: &str) -> Result<(), String> {
    host_name::check(name).map_err(|invalid| invalid.to_string())
}

impl FleetHandle {
    /// Approves a host.
    pub(crate) fn approve_host(&self, name: &str, uuid: Uuid) -> Result<HostState, FleetError> {
        self.with_writer(|writer| {
            self.command(|fleet, _| {
                fleet.approve_host(writer, (name, name_rule), uuid)?;
                fleet.host(name)
            })
        })
    }

    /// Connects an agent until it leaves. `has_voucher`: its certificate names the host and its
    /// UUID.
    pub(crate) fn join(
        &self,
        hello: &v1::Hello,
        has_voucher: bool,
        sender: Sender,
    ) -> Result<Session, FleetError> {
        let introduction = read_hello(hello)?;
        let Introduction { host, uuid, .. } = &introduction;
        if !self.read(|fleet| fleet.knows_host(host, *uuid))? {
            self.with_writer(|writer| {
                self.command(|fleet, _| fleet.admit(writer, (host, name_rule), *uuid, has_voucher))
            })?;
        }
        let session = self.command(|fleet, now| fleet.join(&introduction, now))?;
        self.outboxes.open(host, session, sender);
        Ok(session)
    }

    /// Sends the first message to an agent that has joined.
    pub(crate) fn welcome(&self, host: &str, session: Session) {
        let (heartbeat, refresh) = self.read(|fleet| (fleet.options().heartbeat, fleet.options().refresh));
        let millis = |time: std::time::Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let welcome = v1::Welcome { heartbeat_ms: millis(heartbeat), refresh_ms: millis(refresh) };
        self.outboxes.send(host, session, Message::Welcome(welcome));
    }

    /// Sends an agent the reason why its provider tree was refused.
    pub(crate) fn refuse_providers(&self, host: &str, session: Session, failure: v1::Failure) {
        self.outboxes.send(host, session, Message::ProvidersRefused(failure));
    }

    /// Applies a heartbeat.
    pub(crate) fn heartbeat(&self, host: &str, session: Session, disk_available_gb: u32) {
        self.observe(|fleet, now| fleet.heartbeat(host, session, disk_available_gb, now));
        self.end_outlived_fence(host);
    }

    /// Ends the session of an agent.
    pub(crate) fn leave(&self, host: &str, session: Session, is_graceful: bool) {
        self.outboxes.close(host, session);
        self.observe(|fleet, now| fleet.leave(host, session, is_graceful, now));
    }

    /// Applies the provider tree that an agent reported, also if it returns an error with the
    /// reason `TOO_MANY_NAMES`: that names the parts that were left out.
    pub(crate) fn set_providers(&self, host: &str, tree: &v1::ProviderTree) -> Result<(), FleetError> {
        let mut tree = read_tree(tree)?;
        self.with_writer(|writer| {
            // Two commands: new providers and names are recorded as the agent's before they are
            // written.
            let left_out = self.command(|fleet, _| fleet.announce_providers(writer, host, &mut tree))?;
            self.command(|fleet, _| fleet.set_providers(writer, host, &tree))?;
            left_out.map_or(Ok(()), Err)
        })
    }

    /// Removes parts of provider trees that agents report no longer and that have become free.
    pub(super) fn remove_retired(&self) {
        if self.read(berth_fleet::Fleet::has_retired) {
            self.with_writer(|writer| self.command(|fleet, _| fleet.remove_retired(writer)));
        }
    }

    /// Removes the resource classes and traits that only agents introduced and that no provider has
    /// any longer.
    pub(super) fn remove_unused_names(&self) {
        let has_unused = |topology: &Topology| self.read(|fleet| fleet.has_unused_names(topology));
        if has_unused(&self.topology()) {
            self.with_writer(|writer| self.command(|fleet, _| fleet.remove_unused_names(writer)));
        }
    }

    /// Frees a name for a provider that no agent creates, if a child provider of an agent has it.
    /// Returns whether one had it.
    pub(crate) fn yield_name(&self, writer: &mut Writer<'_>, name: &str) -> bool {
        self.read(|fleet| fleet.yield_name(writer, name))
    }

    /// Whether only agents introduced the name.
    pub(crate) fn is_introduced(&self, name: &IntroducedName) -> bool {
        self.read(|fleet| fleet.state().is_introduced(name))
    }

    /// Notes that somebody other than an agent creates the name. The caller holds the writer of the
    /// index.
    pub(crate) fn keep_name(&self, name: &IntroducedName) {
        if self.is_introduced(name) {
            self.command(|fleet, _| fleet.keep_name(name));
        }
    }

    /// Sets whether a host accepts instances.
    pub(crate) fn set_host(
        &self,
        name: &str,
        status: HostStatus,
        reason: &str,
    ) -> Result<HostState, FleetError> {
        self.with_writer(|writer| {
            self.command(|fleet, _| fleet.set_host(name, status, reason))?;
            self.read(|fleet| fleet.publish_status(writer, name));
            self.read(|fleet| fleet.host(name))
        })
    }

    /// Removes a host.
    pub(crate) fn delete_host(&self, name: &str) -> Result<(), FleetError> {
        self.with_writer(|writer| self.command(|fleet, now| fleet.delete_host(writer, name, now.wall)))
    }

    /// Changes an aggregate.
    pub(crate) fn update_aggregate(
        &self,
        name: &str,
        change: &AggregateChange,
    ) -> Result<Aggregate, FleetError> {
        // A decision uses either the zones of before, and its claim is visible here, or the zones
        // of afterwards.
        let _decider = self.lock_decider();
        self.with_writer(|writer| {
            let (aggregate, moved): (_, BTreeSet<String>) =
                self.command(|fleet, _| fleet.update_aggregate(name, change))?;
            self.read(|fleet| moved.iter().for_each(|host| fleet.publish_aggregates(writer, host)));
            Ok(aggregate)
        })
    }

    /// Removes a server group.
    pub(crate) fn delete_group(&self, named: Named<'_>) -> Result<(), FleetError> {
        self.read(|fleet| fleet.group(named).map(drop))?;
        self.forget_released_members();
        self.command(|fleet, _| fleet.delete_group(named))
    }

    /// Removes the memberships of consumers that hold nothing any longer.
    pub(super) fn forget_released_members(&self) {
        if self.read(berth_fleet::Fleet::has_released_members) {
            // Nobody is between joining a group and claiming capacity while the decider is held.
            let _decider = self.lock_decider();
            self.command(|fleet, _| fleet.forget_released_members());
        }
    }
}
