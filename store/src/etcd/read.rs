//! Reading a whole state: the runs, and the batches that are not in them yet.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;
use std::vec::IntoIter;

use berth_etcd::{EtcdClient, KeyEntry};

use super::EtcdStoreError;
use super::layout::{Base, Change, Layout, Part, Run, RunRecord};
use crate::store::{Revision, StoreEntry};

/// The number of parts of batches in one response; each has at most 1 MiB.
pub(super) const PARTS: u32 = 128;

/// The number of runs in one response.
const RUNS: u32 = 32;

/// The latest values of the records that a log changes, each with its batch; without a value, the
/// record is removed.
pub(super) type Overlay = BTreeMap<Vec<u8>, (Option<Vec<u8>>, Revision)>;

/// Batches that are not contained in the runs.
#[derive(Debug, Default)]
pub(super) struct LogTail {
    /// The latest complete batch, or the latest one that the runs contain.
    pub(super) head: Revision,
    /// What the batches change.
    pub(super) overlay: Overlay,
    /// The size of their values in bytes.
    pub(super) bytes: u64,
    /// Whether parts of an incomplete batch follow.
    pub(super) has_rest: bool,
    /// The revision of etcd of all of this.
    pub(super) read_at: i64,
}

/// Visits all records in order of key, as of now; returns the latest batch.
pub(super) async fn visit_all(
    client: &EtcdClient,
    layout: &Layout,
    visit: &mut dyn FnMut(StoreEntry<'_>) -> Result<(), String>,
) -> Result<Revision, EtcdStoreError> {
    let LogTail { head, overlay, read_at, .. } = read_log(client, layout).await?;
    let mut send = |records: Vec<RunRecord>| {
        records.into_iter().try_for_each(|RunRecord { key, value, revision }| {
            let entry = StoreEntry { key: &key, value: &value, revision: Revision(revision) };
            visit(entry).map_err(EtcdStoreError::Stopped)
        })
    };
    // A run is known to end where the next one begins, so it waits for it.
    let mut waiting = (Vec::new(), Run::default());
    let mut pages = client.pages_at(layout.runs(), RUNS, read_at);
    while let Some(page) = pages.next().await? {
        for entry in page {
            let first = first_of(layout, &entry)?;
            let next = layout.unseal(&entry)?;
            let (begin, run) = std::mem::replace(&mut waiting, (first.clone(), next));
            send(merged(&begin, Some(&first), run, &overlay))?;
        }
    }
    let (begin, run) = waiting;
    send(merged(&begin, None, run, &overlay))?;
    Ok(head)
}

pub(super) fn first_of(layout: &Layout, entry: &KeyEntry) -> Result<Vec<u8>, EtcdStoreError> {
    layout.first_of(&entry.key).ok_or_else(|| layout.damaged(&entry.key, "it is no key of a run"))
}

/// Reads the revision up to which the runs contain the log, and the revision of etcd of that.
pub(super) async fn read_base(
    client: &EtcdClient,
    layout: &Layout,
) -> Result<(Revision, i64), EtcdStoreError> {
    let (base, read_at) = client.get(layout.base()).await?;
    let base = base.map(|entry| layout.unseal::<Base>(&entry)).transpose()?;
    Ok((Revision(base.map_or(0, |base| base.revision)), read_at))
}

/// Reads the log as of now.
pub(super) async fn read_log(client: &EtcdClient, layout: &Layout) -> Result<LogTail, EtcdStoreError> {
    let (base, read_at) = read_base(client, layout).await?;
    let mut tail = LogTail { head: base, read_at, ..LogTail::default() };
    let mut batch = Assembly::after(base);
    let mut pages = client.pages_at(layout.log_after(base), PARTS, read_at);
    while let Some(page) = pages.next().await? {
        for entry in page {
            tail.bytes += entry.value.len() as u64;
            if let Some((revision, changes)) = batch.enter(layout, &entry)? {
                tail.head = revision;
                let changes = changes.into_iter();
                tail.overlay.extend(changes.map(|Change { key, value }| (key, (value, revision))));
            }
        }
    }
    tail.has_rest = !batch.is_empty();
    Ok(tail)
}

/// Puts batches together from their parts, in order.
#[derive(Debug)]
pub(super) struct Assembly {
    /// The latest complete batch.
    latest: Revision,
    /// The number of parts of the next one.
    parts: u32,
    /// The writer of these parts.
    fence: i64,
    changes: Vec<Change>,
}

impl Assembly {
    pub(super) const fn after(latest: Revision) -> Self {
        Self { latest, parts: 0, fence: 0, changes: Vec::new() }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.parts == 0
    }

    pub(super) const fn latest(&self) -> Revision {
        self.latest
    }

    /// Forgets the parts of the next batch: a new writer has deleted them.
    pub(super) fn forget_parts(&mut self) {
        self.parts = 0;
        self.changes.clear();
    }

    /// Enters the next part; returns the batch that is complete with it.
    pub(super) fn enter(
        &mut self,
        layout: &Layout,
        entry: &KeyEntry,
    ) -> Result<Option<(Revision, Vec<Change>)>, EtcdStoreError> {
        let next = Revision(self.latest.0 + 1);
        match layout.part_of(&entry.key) {
            Some((revision, part)) if revision == next && part == self.parts => {}
            Some(_) => {
                let missing = layout.part(next, self.parts);
                return Err(layout.damaged(&entry.key, &format!("{missing}, which precedes it, is missing")));
            }
            None => return Err(layout.damaged(&entry.key, "it is no key of the log")),
        }
        let Part { fence, is_last, changes } = layout.unseal(entry)?;
        if self.parts > 0 && fence != self.fence {
            return Err(layout.damaged(&entry.key, "another writer wrote the parts before it"));
        }
        self.fence = fence;
        self.parts += 1;
        self.changes.extend(changes);
        if !is_last {
            return Ok(None);
        }
        self.latest = next;
        self.parts = 0;
        Ok(Some((next, std::mem::take(&mut self.changes))))
    }
}

/// The records from `begin` on, before `end`, of a run with the changes of a log.
pub(super) fn merged(
    begin: &[u8],
    end: Option<&[u8]>,
    Run { records }: Run,
    overlay: &Overlay,
) -> Vec<RunRecord> {
    let upper = end.map_or(Bound::Unbounded, Bound::Excluded);
    if end.is_some_and(|end| end <= begin) {
        return Vec::new();
    }
    let changes = overlay.range::<[u8], _>((Bound::Included(begin), upper));
    // A run that is being split still has what belongs to the next one.
    let count = records.partition_point(|record| end.is_none_or(|end| &record.key[..] < end));
    let mut kept: Peekable<IntoIter<RunRecord>> =
        records.into_iter().take(count).collect::<Vec<_>>().into_iter().peekable();
    let mut out = Vec::with_capacity(count);
    for (key, (value, Revision(revision))) in changes {
        while let Some(record) = kept.next_if(|record| record.key < *key) {
            out.push(record);
        }
        drop(kept.next_if(|record| record.key == *key));
        if let Some(value) = value.clone() {
            out.push(RunRecord { key: key.clone(), value, revision: *revision });
        }
    }
    out.extend(kept);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &str, revision: u64) -> RunRecord {
        RunRecord { key: key.into(), value: value.into(), revision }
    }

    #[test]
    fn a_run_is_merged_within_its_bounds() {
        let records = ["b", "c", "d", "f"].map(|key| record(key, "old", 1));
        let run = Run { records: records.into() };
        let change = |key: &str, value: Option<&str>| (key.into(), (value.map(Into::into), Revision(2)));
        let overlay: Overlay = [
            change("a", Some("new")),
            change("b", None),
            change("c", Some("new")),
            change("ca", None),
            change("e", Some("new")),
            change("f", Some("new")),
        ]
        .into();
        let within = merged(b"b", Some(b"f"), run.clone(), &overlay);
        assert_eq!(within, [record("c", "new", 2), record("d", "old", 1), record("e", "new", 2)]);
        let all = merged(b"", None, run, &overlay);
        assert_eq!(all.iter().map(|record| &record.key[..]).collect::<Vec<_>>().concat(), b"acdef");
    }
}
