//! What nova-scheduler and Berth may have seen differently, and how old it was.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use berth_nova_database::NovaHosts;
use berth_placement::{Index, JournalRead, Row};
use berth_scheduler::decider::HostChanges;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::reply::Chosen;
use super::{Look, RpcFailure};

/// A state that only one of both may have seen.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StaleState {
    /// A chosen host has decisions of Berth that its row does not show yet: nova-scheduler did not
    /// answer, and knows nothing of them.
    Pending {
        /// The host.
        host: String,
        /// How many decisions.
        decisions: usize,
        /// How long ago its row was written, microseconds.
        row_age_us: Option<i64>,
    },
    /// A host reported while both decided, or its service changed.
    Reported {
        /// The host.
        host: String,
        /// How long ago its row was written, microseconds.
        row_age_us: Option<i64>,
    },
    /// Hosts came or went, or aggregates changed, while both decided.
    Layout,
    /// Another request claimed or released capacity of a provider while both decided.
    Claimed {
        /// The root provider.
        provider: String,
    },
    /// More capacity was claimed or released while both decided than the journal remembers.
    Overrun,
}

impl StaleState {
    /// States of a record at most: one is enough to know that a difference means nothing.
    const MAX: usize = 16;

    /// The changes of hosts, with the ages of their rows.
    pub(crate) fn of_changes(changes: HostChanges, hosts: &NovaHosts, now: i64) -> Vec<Self> {
        let layout = changes.layout.then_some(Self::Layout);
        let reported = changes.hosts.into_iter().take(Self::MAX).map(|host| {
            let row_age_us = hosts.row_age(&host, now);
            Self::Reported { host, row_age_us }
        });
        layout.into_iter().chain(reported).collect()
    }
}

impl fmt::Display for StaleState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, age: Option<i64>| match age {
            Some(age) => write!(f, " (row of {} s ago)", age / 1_000_000),
            None => Ok(()),
        };
        match self {
            Self::Pending { host, decisions, row_age_us } => {
                write!(f, "{host}: {decisions} decisions pending")?;
                row(f, *row_age_us)
            }
            Self::Reported { host, row_age_us } => {
                write!(f, "{host} reported")?;
                row(f, *row_age_us)
            }
            Self::Layout => f.write_str("hosts or aggregates changed"),
            Self::Claimed { provider } => write!(f, "provider {provider} changed"),
            Self::Overrun => f.write_str("many providers changed"),
        }
    }
}

impl Look {
    /// The states that both may have seen differently: hosts or the index changed meanwhile, apart
    /// from what nova-scheduler claimed, or hosts that were chosen have decisions that their rows
    /// do not show yet.
    pub(crate) fn stale(
        &self,
        chosen: &Result<Vec<Chosen>, RpcFailure>,
        hosts: &NovaHosts,
        now: i64,
    ) -> Vec<StaleState> {
        let theirs: Vec<&Chosen> = chosen.iter().flatten().collect();
        let ours = self.dry.decided.iter().flatten().filter_map(|hosts| hosts.first());
        let named: BTreeSet<&str> =
            ours.map(|own| own.host.as_str()).chain(theirs.iter().map(|one| one.host.as_str())).collect();
        let pending = named.into_iter().filter_map(|host| {
            let decisions = hosts.pending(host);
            let row_age_us = hosts.row_age(host, now);
            (decisions > 0).then(|| StaleState::Pending { host: host.to_owned(), decisions, row_age_us })
        });
        let mut stale: Vec<StaleState> = pending.collect();
        stale.extend(StaleState::of_changes(hosts.changed_since(self.revision), hosts, now));
        if let Some((index, position)) = &self.dry.index {
            let providers: Vec<_> = theirs.iter().map(|one| one.provider).collect();
            stale.extend(changed_by_others(index, *position, &providers));
        }
        stale.truncate(StaleState::MAX);
        stale
    }
}

/// The first provider that somebody else than nova-scheduler changed since a position of the
/// journal: on another host than those that it chose for instances, whose root providers these
/// are, or more often than it claimed there.
fn changed_by_others(index: &Index, mut position: u64, chosen: &[Option<Uuid>]) -> Option<StaleState> {
    let topology = index.topology();
    let mut changes: BTreeMap<Row, usize> = BTreeMap::new();
    loop {
        match index.journal().read(&mut position) {
            JournalRead::Changed(entry) => {
                let root = topology.provider(entry.row).and_then(|one| topology.provider(one.root));
                let root = root.map(|root| root.uuid);
                // A claim changes each provider of its host once at most.
                let claims = chosen.iter().filter(|one| root.is_some() && **one == root).count();
                let times = changes.entry(entry.row).or_default();
                *times += 1;
                if *times > claims {
                    let provider = root.map_or_else(|| "deleted".to_owned(), |uuid| uuid.to_string());
                    return Some(StaleState::Claimed { provider });
                }
            }
            JournalRead::UpToDate => return None,
            JournalRead::Overrun => return Some(StaleState::Overrun),
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_placement::{Allocation, ClassId, ConsumerId, Inventory};

    use super::*;

    #[test]
    fn states_name_rows_and_their_age() {
        let pending =
            StaleState::Pending { host: "c1".to_owned(), decisions: 2, row_age_us: Some(34_500_000) };
        assert_eq!(pending.to_string(), "c1: 2 decisions pending (row of 34 s ago)");
        let reported = StaleState::Reported { host: "c1".to_owned(), row_age_us: None };
        assert_eq!(reported.to_string(), "c1 reported");
        let text = serde_json::to_string(&pending).expect("JSON");
        assert_eq!(serde_json::from_str::<StaleState>(&text).expect("reads"), pending);
    }

    /// Regression: what another caller released on the host that nova-scheduler chose did not
    /// count.
    #[test]
    fn only_its_own_claims_on_its_hosts_are_nova_schedulers() {
        let index = Index::default();
        let uuids = [1, 2].map(Uuid::from_u128);
        let rows = uuids.map(|uuid| {
            let mut writer = index.write();
            let row = writer.add_provider(uuid, &uuid.to_string(), None).expect("a new name");
            writer.set_inventory(row, ClassId::VCPU, Some(&Inventory::of(8))).expect("it is valid");
            row
        });
        let claim = |consumer, row| {
            let allocation = Allocation { row, class: ClassId::VCPU, amount: 1 };
            index.claim(ConsumerId(consumer), &[allocation]).expect("there is capacity");
        };
        claim(1, rows[0]);
        let position = index.journal().end();
        let [first, second] = uuids.map(Some);
        claim(2, rows[0]);
        assert_eq!(changed_by_others(&index, position, &[first]), None, "its claim");
        let claimed = |uuid: Uuid| Some(StaleState::Claimed { provider: uuid.to_string() });
        assert_eq!(changed_by_others(&index, position, &[second]), claimed(uuids[0]));
        index.release(ConsumerId(1)).expect("it holds something");
        assert_eq!(changed_by_others(&index, position, &[first]), claimed(uuids[0]), "a release");
        assert_eq!(changed_by_others(&index, position, &[first, first]), None, "two claims");
    }
}
