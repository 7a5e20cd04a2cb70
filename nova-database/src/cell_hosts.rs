//! The hosts of one cell, and which of their rows have to be read again.

use std::collections::{BTreeMap, BTreeSet};

use berth_scheduler::time::micros;

use crate::buckets::{self, BUCKET, BucketSums, Sums};
use crate::compute_node::NodeRow;
use crate::instances::CellInstances;
use crate::row::TextRow;
use crate::service::{ServiceRow, ServiceStatus};

/// A row may be written again within the second that its time names: until it was read this long
/// after that time was observed first, microseconds, it is read again.
pub(crate) const SETTLED: i64 = 2_000_000;

/// The clocks of Nova's services differ by less, microseconds: a row whose time is older is not
/// written again with the same time.
const CLOCK_DIFFERENCE: i64 = 30_000_000;

/// What the services of a cell are.
#[derive(Debug)]
pub(crate) enum ServicesRead {
    /// These are all of them.
    All(Vec<ServiceRow>),
    /// They are the same as before. These are disabled or down, and no others.
    Same(Vec<ServiceRow>),
}

/// The rows of a bucket, by their numbers.
#[derive(Debug)]
pub(crate) struct BucketRead {
    /// The first number.
    pub(crate) first: i64,
    /// Its sums; none if it has no row any more.
    pub(crate) sums: Option<BucketSums>,
    /// The rows that it has.
    pub(crate) ids: BTreeSet<i64>,
}

/// What was read of one cell's database.
#[derive(Debug)]
pub(crate) struct CellRead {
    /// When reading began, microseconds since 1970.
    pub(crate) began: i64,
    /// Counts of all compute services.
    pub(crate) summary: TextRow,
    /// The version of the oldest one.
    pub(crate) oldest: Option<i64>,
    /// The compute services.
    pub(crate) services: ServicesRead,
    /// The buckets whose sums are others than before.
    pub(crate) buckets: Vec<BucketRead>,
    /// The compute nodes that are new or have changed, with the digests of their rows.
    pub(crate) nodes: Vec<(String, NodeRow)>,
    /// The compute nodes that were read again and are the same.
    pub(crate) same: Vec<i64>,
    /// The compute nodes whose rows make no sense.
    pub(crate) unreadable: Vec<i64>,
}

/// The hosts of one cell.
#[derive(Debug, Default)]
pub(crate) struct CellHosts {
    pub(crate) is_down: bool,
    /// When it was read last, microseconds since 1970.
    pub(crate) read_at: Option<i64>,
    pub(crate) services: BTreeMap<String, ServiceStatus>,
    /// The services that are disabled or down.
    unavailable: BTreeSet<String>,
    summary: Option<TextRow>,
    /// The version of the oldest service.
    pub(crate) oldest: Option<i64>,
    pub(crate) nodes: BTreeMap<i64, NodeRow>,
    /// The numbers of a service host's nodes.
    pub(crate) of_host: BTreeMap<String, BTreeSet<i64>>,
    /// The instances as they were read last.
    pub(crate) instances: CellInstances,
    /// The sums of the compute nodes.
    buckets: Sums,
    /// The nodes that may be written again without another time.
    unsettled: BTreeMap<i64, Unsettled>,
}

/// A row that was written a short time ago.
#[derive(Debug)]
struct Unsettled {
    /// When its time was observed first, microseconds since 1970.
    observed: i64,
    digest: String,
}

impl CellHosts {
    /// Whether these are the services that are known: no other has come, and none has gone.
    pub(crate) fn has_services(&self, summary: &TextRow) -> bool {
        self.summary.as_ref() == Some(summary)
    }

    /// The buckets in which rows have changed, or which are gone, by their first numbers.
    pub(crate) fn changed_buckets(&self, sums: &Sums) -> Vec<i64> {
        buckets::changed(&self.buckets, sums)
    }

    /// The compute nodes whose times are others than before, given number and `updated_at` of those
    /// that buckets with changes have.
    pub(crate) fn outdated(&self, listed: &[(i64, Option<String>)]) -> BTreeSet<i64> {
        let is_known = |(id, updated_at): &&(i64, Option<String>)| {
            self.nodes.get(id).is_some_and(|node| node.updated_at == *updated_at)
        };
        listed.iter().filter(|row| !is_known(row)).map(|(id, _)| *id).collect()
    }

    /// The compute nodes whose digests have to be compared: their times say too little.
    pub(crate) fn unsettled(&self) -> Vec<i64> {
        self.unsettled.keys().copied().collect()
    }

    /// Whether the row has the same values as when it was read.
    pub(crate) fn is_same(&self, id: i64, digest: &str) -> bool {
        self.unsettled.get(&id).is_some_and(|row| row.digest == digest)
    }

    /// Puts these services in the place of those of before; names the hosts whose status is another
    /// one now. Returns whether hosts have got a service or lost it.
    pub(crate) fn apply_services(
        &mut self,
        summary: TextRow,
        services: ServicesRead,
        (down_after, now): (i64, i64),
        changed: &mut BTreeSet<String>,
    ) -> bool {
        let (rows, is_all) = match services {
            ServicesRead::All(rows) => (rows, true),
            ServicesRead::Same(rows) => (rows, false),
        };
        let statuses: BTreeMap<String, ServiceStatus> =
            rows.into_iter().map(|row| (row.host.clone(), row.status(now, down_after))).collect();
        if !is_all {
            // Those that were unavailable and are not named are available again.
            for host in self.unavailable.iter().filter(|host| !statuses.contains_key(*host)) {
                self.services.insert(host.clone(), ServiceStatus::default());
                changed.insert(host.clone());
            }
        }
        self.unavailable = statuses
            .iter()
            .filter(|(_, status)| status.is_unavailable())
            .map(|(host, _)| host.clone())
            .collect();
        let before = if is_all { std::mem::take(&mut self.services) } else { BTreeMap::new() };
        let mut is_other = before.keys().any(|host| !statuses.contains_key(host));
        let known = if is_all { &before } else { &self.services };
        for (host, status) in &statuses {
            match known.get(host) {
                Some(known) if known == status => {}
                Some(_) => drop(changed.insert(host.clone())),
                None => is_other = true,
            }
        }
        // `append` would build the map of all services again.
        self.services.extend(statuses);
        self.summary = Some(summary);
        is_other
    }

    /// Keeps the nodes of these buckets that are still there; returns whether others were.
    pub(crate) fn apply_buckets(&mut self, buckets: Vec<BucketRead>) -> bool {
        let mut is_other = false;
        for BucketRead { first, sums, ids } in buckets {
            let known = self.nodes.range(first..first.saturating_add(BUCKET)).map(|(id, _)| *id);
            let gone: Vec<i64> = known.filter(|id| !ids.contains(id)).collect();
            is_other |= !gone.is_empty();
            gone.into_iter().for_each(|id| drop(self.forget(id)));
            match sums {
                Some(sums) => drop(self.buckets.insert(first, sums)),
                None => drop(self.buckets.remove(&first)),
            }
        }
        is_other
    }

    /// Forgets a node; returns what was known of it.
    pub(crate) fn forget(&mut self, id: i64) -> Option<NodeRow> {
        self.unsettled.remove(&id);
        let node = self.nodes.remove(&id)?;
        if let Some(ids) = self.of_host.get_mut(&node.record.host) {
            ids.remove(&id);
            if ids.is_empty() {
                self.of_host.remove(&node.record.host);
            }
        }
        Some(node)
    }

    /// Puts a node in the place of what was known of it; returns whether it was known.
    pub(crate) fn put(&mut self, digest: String, node: NodeRow, began: i64) -> bool {
        let id = node.id;
        let observed = self.unsettled.get(&id).map(|row| row.observed);
        let before = self.forget(id);
        let is_new = before.as_ref().is_none_or(|before| before.updated_at != node.updated_at);
        let observed = observed.filter(|_| !is_new).unwrap_or(began);
        if !is_settled(node.updated_at.as_deref(), observed, began) {
            self.unsettled.insert(id, Unsettled { observed, digest });
        }
        self.of_host.entry(node.record.host.clone()).or_default().insert(id);
        self.nodes.insert(id, node);
        before.is_some()
    }

    /// These rows had the same values when they were read again.
    pub(crate) fn confirm(&mut self, same: &[i64], began: i64) {
        for id in same {
            let updated_at = self.nodes.get(id).and_then(|node| node.updated_at.as_deref());
            if self.unsettled.get(id).is_some_and(|row| is_settled(updated_at, row.observed, began)) {
                self.unsettled.remove(id);
            }
        }
    }

    /// Whether the time of a row is another one than before.
    pub(crate) fn is_rewritten(&self, row: &NodeRow) -> bool {
        self.nodes.get(&row.id).is_none_or(|known| known.updated_at != row.updated_at)
    }
}

/// Whether a row that was read at `began` cannot be written again with the same time.
fn is_settled(updated_at: Option<&str>, observed: i64, began: i64) -> bool {
    let written = updated_at.and_then(micros);
    began.saturating_sub(observed) >= SETTLED
        || written.is_some_and(|written| observed.saturating_sub(written) >= CLOCK_DIFFERENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::tests::sums;
    use crate::compute_node::tests::row;

    /// The time that the row has.
    const WRITTEN: &str = "2026-11-30 01:35:12";

    fn known(began: i64) -> CellHosts {
        let mut known = CellHosts::default();
        let buckets = [(0, 1), (BUCKET, BUCKET)].map(|(first, id)| BucketRead {
            first,
            sums: sums(&[first]).remove(&first),
            ids: BTreeSet::from([id]),
        });
        assert!(!known.apply_buckets(buckets.into()));
        for id in [1, BUCKET] {
            put(&mut known, &row(id, "c"), began);
        }
        known
    }

    fn put(known: &mut CellHosts, values: &TextRow, began: i64) {
        known.put(digest(values), NodeRow::read(values, "cell").expect("reads"), began);
    }

    fn digest(values: &TextRow) -> String {
        format!("{values:?}")
    }

    fn written() -> i64 {
        micros(WRITTEN).expect("a time")
    }

    #[test]
    fn nodes_of_a_bucket_that_is_gone_are_forgotten() {
        let mut known = known(written());
        assert_eq!(known.changed_buckets(&sums(&[0])), [BUCKET]);
        let gone = BucketRead { first: BUCKET, sums: None, ids: BTreeSet::new() };
        assert!(known.apply_buckets(vec![gone]));
        assert_eq!((known.nodes.len(), known.of_host["c"].len()), (1, 1));
        assert_eq!(known.changed_buckets(&sums(&[0])), [0_i64; 0]);
    }

    /// Regression: a row that was written twice within a second, and read in between, was not read
    /// again if the next reading came more than two seconds later.
    #[test]
    fn rows_are_read_until_their_second_was_over_when_they_were_read() {
        let mut known = known(written() + 500_000);
        let listed = |time: &str| vec![(1, Some(time.to_owned()))];
        assert_eq!(known.outdated(&listed(WRITTEN)), BTreeSet::new());
        assert_eq!(known.unsettled(), [1, BUCKET], "however much later");
        // The first is the same, the other was written again.
        let mut again = row(BUCKET, "c");
        assert!(known.is_same(1, &digest(&row(1, "c"))) && known.is_same(BUCKET, &digest(&again)));
        again[5] = Some("11".to_owned());
        assert!(!known.is_same(BUCKET, &digest(&again)));
        let later = written() + 500_000 + SETTLED;
        known.confirm(&[1], later - 1);
        assert_eq!(known.unsettled().len(), 2, "too early");
        known.confirm(&[1], later);
        put(&mut known, &again, later);
        assert_eq!(known.unsettled(), [0_i64; 0]);
        assert_eq!(known.outdated(&listed(WRITTEN)), BTreeSet::new());
        assert_eq!(known.outdated(&listed("2026-11-30 01:35:13")), [1].into());
        assert_eq!(known.nodes[&BUCKET].record.vcpus, 11);
    }

    #[test]
    fn rows_that_were_written_long_ago_are_read_once() {
        let known = known(written() + CLOCK_DIFFERENCE);
        assert_eq!(known.unsettled(), [0_i64; 0]);
    }
}
