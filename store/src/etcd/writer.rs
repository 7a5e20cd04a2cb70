//! The right to commit, and commits.

use std::time::Duration;

use berth_etcd::{
    EtcdClient, EtcdError, EtcdLease, KeyEntry, KeyRange, LeaseId, Transaction, TransactionOutcome,
};
use tokio::time::Instant;

use super::EtcdStoreError;
use super::layout::{Change, Layout, Part, Versions, WriterRecord};
use crate::store::{Changes, Revision};

/// The largest size of the changes in a part. etcd's limit for a request is 1.5 MiB by default.
const PART_BYTES: usize = 1 << 20;

/// How long a commit is tried before the store fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// The right to commit: the key of the writer with this create revision. It may have been lost.
#[derive(Debug)]
pub(super) struct Writer {
    client: EtcdClient,
    layout: Layout,
    /// The create revision of the key.
    pub(super) fence: i64,
}

/// Waits until this process is the writer.
pub(super) async fn become_writer(
    client: &EtcdClient,
    layout: &Layout,
    name: &str,
    ttl: Duration,
) -> Result<(Writer, EtcdLease), EtcdStoreError> {
    check_versions(client, layout).await?;
    loop {
        let mut lease = client.lease(ttl).await?;
        let id = lease.id();
        let won = tokio::select! {
            fence = campaign(client, layout, name, id) => Some(fence?),
            () = lease.ended() => None,
        };
        if let Some(fence) = won {
            // Another release may have become the writer and upgraded the store meanwhile.
            check_versions(client, layout).await?;
            let writer = Writer { client: client.clone(), layout: layout.clone(), fence };
            writer.write_versions().await?;
            return Ok((writer, lease));
        }
    }
}

/// Refuses a state that a later release wrote.
pub(super) async fn check_versions(client: &EtcdClient, layout: &Layout) -> Result<(), EtcdStoreError> {
    match client.get(layout.versions()).await?.0 {
        Some(entry) => layout.unseal::<Versions>(&entry)?.check(),
        None => Ok(()),
    }
}

/// Creates the key of the writer as soon as it does not exist; returns its create revision.
async fn campaign(
    client: &EtcdClient,
    layout: &Layout,
    name: &str,
    lease: LeaseId,
) -> Result<i64, EtcdStoreError> {
    let key = layout.writer();
    let record = WriterRecord { name: name.to_owned(), lease: lease.0 };
    let value = layout.seal(&key, &record);
    let create = Transaction::default().if_absent(key.clone());
    let create = create.put_leased(key.clone(), value.clone(), lease).otherwise_get(key.clone());
    let mut is_first = true;
    loop {
        let outcome = match client.transact(&create).await {
            Err(error) if error.is_unknown() => continue,
            Err(EtcdError::Refused(words)) if words.contains("lease not found") => {
                // The caller notices the end of the lease.
                return std::future::pending().await;
            }
            outcome => outcome?,
        };
        if outcome.succeeded {
            return Ok(outcome.revision);
        }
        let Some(Some(holder)) = outcome.found.into_iter().next() else { continue };
        if holder.value == value {
            return Ok(holder.created_at);
        }
        if std::mem::take(&mut is_first) {
            let WriterRecord { name, .. } = layout.unseal(&holder)?;
            tracing::info!(writer = name, "another Berth is the writer: waiting to take over");
        }
        wait_until_changed(client, &key, &holder).await?;
    }
}

async fn wait_until_changed(client: &EtcdClient, key: &str, holder: &KeyEntry) -> Result<(), EtcdStoreError> {
    let mut watch = client.watch(KeyRange::key(key.to_owned()), holder.modified_at + 1);
    match watch.next().await {
        // The next attempt sees what the watch missed.
        Ok(_) | Err(berth_etcd::WatchError::Compacted { .. }) => Ok(()),
        Err(berth_etcd::WatchError::Refused(error)) => Err(error.into()),
    }
}

impl Writer {
    /// A transaction that happens only while this is the writer.
    pub(super) fn fenced(&self) -> Transaction {
        Transaction::default().if_created_at(self.layout.writer(), self.fence)
    }

    /// Makes a transaction that changes nothing more if it is repeated.
    pub(super) async fn repeat(
        &self,
        transaction: &Transaction,
    ) -> Result<TransactionOutcome, EtcdStoreError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.client.transact(transaction).await {
                Err(EtcdError::Unknown(_) | EtcdError::Unavailable(_)) if Instant::now() < deadline => {}
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Makes a transaction whose only condition is the fence.
    pub(super) async fn make(&self, transaction: &Transaction) -> Result<i64, EtcdStoreError> {
        let outcome = self.repeat(transaction).await?;
        if outcome.succeeded { Ok(outcome.revision) } else { Err(EtcdStoreError::NotWriter) }
    }

    async fn write_versions(&self) -> Result<(), EtcdStoreError> {
        let key = self.layout.versions();
        let value = self.layout.seal(&key, &Versions::current());
        if self.client.get(key.clone()).await?.0.is_some_and(|entry| entry.value == value) {
            return Ok(());
        }
        self.make(&self.fenced().put(key, value)).await.map(|_| ())
    }

    /// Deletes the parts of a batch that its writer did not complete.
    pub(super) async fn delete_rest(&self, head: Revision) -> Result<(), EtcdStoreError> {
        self.make(&self.fenced().delete(self.layout.log_after(head))).await.map(|_| ())
    }

    /// Appends a batch to the log; returns the size of its values in bytes.
    pub(super) async fn append(&self, revision: Revision, changes: Changes) -> Result<u64, EtcdStoreError> {
        let (mut parts, mut bytes) = ((0..).zip(parts(changes)).peekable(), 0);
        while let Some((number, changes)) = parts.next() {
            let part = Part { fence: self.fence, is_last: parts.peek().is_none(), changes };
            bytes += self.append_part(revision, number, &part).await?;
        }
        Ok(bytes)
    }

    /// Writes a part into its slot. The slot can be written once, so an attempt with an unknown
    /// outcome is made again: if the first one was applied, the second finds the part.
    async fn append_part(&self, revision: Revision, number: u32, part: &Part) -> Result<u64, EtcdStoreError> {
        let key = self.layout.part(revision, number);
        let value = self.layout.seal(&key, part);
        let bytes = value.len() as u64;
        let append = self.fenced().if_absent(key.clone()).put(key.clone(), value).otherwise_get(key);
        let outcome = self.repeat(&append).await?;
        if outcome.succeeded {
            return Ok(bytes);
        }
        match outcome.found.first() {
            Some(Some(found)) if self.layout.unseal::<Part>(found)?.fence == self.fence => Ok(bytes),
            _ => Err(EtcdStoreError::NotWriter),
        }
    }
}

/// Divides a batch; a batch without changes has one part.
fn parts(changes: Changes) -> Vec<Vec<Change>> {
    let (mut parts, mut bytes) = (vec![Vec::new()], 0);
    for (key, value) in changes {
        let size = key.len() + value.as_ref().map_or(0, Vec::len) + 16;
        if bytes > 0 && bytes + size > PART_BYTES {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        parts.last_mut().expect("there is one at least").push(Change { key, value });
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_divided_in_order() {
        assert_eq!(parts(Changes::new()), [[]]);
        let change = |number: u32| (number.to_be_bytes().to_vec(), Some(vec![0; 400_000]));
        let divided = parts((0..5).map(change).collect());
        assert_eq!(divided.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        let keys = divided.concat().into_iter().map(|change| change.key).collect::<Vec<_>>();
        assert!(keys.is_sorted() && keys.len() == 5);
        let large = Changes::from([change(0), (vec![1], Some(vec![0; 3 << 20])), (vec![2], None)]);
        assert_eq!(parts(large).len(), 3);
    }
}
