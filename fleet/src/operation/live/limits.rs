//! How many live migrations are in progress at a time. The others are queued.

use uuid::Uuid;

use crate::Fleet;
use crate::instance::Instance;
use crate::migration::Migration;
use crate::operation::Operation;

/// Limits of live migrations in progress; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveLimits {
    /// That a host sends.
    pub per_source: u32,
    /// That a host receives.
    pub per_target: u32,
    /// In the fleet.
    pub total: u32,
}

impl Default for LiveLimits {
    fn default() -> Self {
        // Nova's limit of a source. Receiving one at a time is what a source does, too.
        Self { per_source: 1, per_target: 1, total: 0 }
    }
}

impl Fleet {
    /// The open live migrations with their instances.
    fn live_migrations(&self) -> impl Iterator<Item = (&Instance, &Migration)> {
        let instances = self.state.migrations.values().filter_map(|&uuid| self.state.instance(uuid));
        let live = instances.filter(|instance| instance.is_live_migrating());
        live.filter_map(|instance| Some((&**instance, instance.migration()?)))
    }

    fn live_in_progress(&self) -> impl Iterator<Item = &Migration> {
        let in_progress =
            |(instance, _): &(&Instance, &Migration)| instance.operation != Some(Operation::LiveQueued);
        self.live_migrations().filter(in_progress).map(|(_, migration)| migration)
    }

    /// Whether another live migration from this host may begin.
    #[must_use]
    pub fn may_send(&self, source: &str) -> bool {
        let limits = self.options.live_limits;
        let sent = self.live_in_progress().filter(|of| of.source == source).count();
        is_below(sent, limits.per_source) && is_below(self.live_in_progress().count(), limits.total)
    }

    /// The hosts that receive as many live migrations as they may.
    #[must_use]
    pub fn busy_targets(&self) -> Vec<String> {
        let limit = self.options.live_limits.per_target;
        let mut targets: Vec<&String> = self.live_in_progress().map(|of| &of.target).collect();
        targets.sort();
        let full = targets.chunk_by(|a, b| a == b).filter(|same| !is_below(same.len(), limit));
        full.filter_map(|same| same.first().map(|&target| target.clone())).collect()
    }

    /// A live migration is over. Those that may wait for its end are due: the oldest of all, those
    /// from its source, and those that hold its target. One that still cannot begin is due in each
    /// round.
    pub(super) fn wake_queued(&mut self, over: &Migration) {
        let queued: Vec<_> =
            self.live_migrations().filter(|(it, _)| it.operation == Some(Operation::LiveQueued)).collect();
        let oldest = queued.iter().min_by_key(|(it, of)| (of.created_at, it.uuid)).map(|(it, _)| it.uuid);
        let may_wait = |(it, of): &&(&Instance, &Migration)| {
            of.source == over.source || self.host_of_capacity(it.uuid) == Some(over.target.as_str())
        };
        let due: Vec<Uuid> = queued.iter().filter(may_wait).map(|(it, _)| it.uuid).chain(oldest).collect();
        self.due.extend(due);
    }
}

/// `limit`: 0 for none.
fn is_below(count: usize, limit: u32) -> bool {
    limit == 0 || count < limit as usize
}
