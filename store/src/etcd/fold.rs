//! Folding: the log's batches become part of the runs, and leave the log.
//!
//! Each run is written again by a transaction of its own, and the log stays until all are. So a
//! fold can end anywhere: the log still has every change, and applying it to a run that has it
//! already gives the same run. Runs are written from the last to the first, and the parts of a run
//! that is split, too: a run never lacks what the one after it does not have yet.

use berth_etcd::{EtcdClient, KeyRange, Transaction};
use prost::Message;

use super::EtcdStoreError;
use super::layout::{Base, Layout, Run, RunRecord};
use super::read::{LogTail, Overlay, first_of, merged, read_log};
use super::writer::Writer;

/// The number of keys of runs in one response.
const KEYS: u32 = 4096;

/// The largest number of runs that become part of another at once; a transaction has at most 128
/// operations.
const ABSORBED: usize = 100;

/// What a fold did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folded {
    /// The bytes that left the log.
    pub(super) log_bytes: u64,
    /// The revision of etcd after it.
    pub(super) etcd_revision: i64,
}

/// Folds the whole log into runs of about `run_bytes`.
pub(super) async fn fold(
    client: &EtcdClient,
    layout: &Layout,
    writer: &Writer,
    run_bytes: usize,
) -> Result<Folded, EtcdStoreError> {
    let LogTail { head, overlay, bytes, read_at, .. } = read_log(client, layout).await?;
    let bounds = run_bounds(client, layout, read_at).await?;
    let mut folding = Folding { client, layout, writer, run_bytes, small: None };
    for (place, begin) in bounds.iter().enumerate().rev() {
        let end = bounds.get(place + 1).map(Vec::as_slice);
        folding.fold_run(begin, end, &overlay).await?;
    }
    folding.write_small().await?;
    let key = layout.base();
    let base = layout.seal(&key, &Base { revision: head.0 });
    let finish = writer.fenced().put(key, base).delete(layout.log_to(head));
    let etcd_revision = writer.make(&finish).await?;
    Ok(Folded { log_bytes: bytes, etcd_revision })
}

/// The keys at which runs begin, in order; the first is the smallest of all.
async fn run_bounds(
    client: &EtcdClient,
    layout: &Layout,
    read_at: i64,
) -> Result<Vec<Vec<u8>>, EtcdStoreError> {
    let mut bounds = Vec::new();
    let mut pages = client.keys_at(layout.runs(), KEYS, read_at);
    while let Some(page) = pages.next().await? {
        for entry in &page {
            bounds.push(first_of(layout, entry)?);
        }
    }
    if bounds.first().is_none_or(|first| !first.is_empty()) {
        bounds.insert(0, Vec::new());
    }
    Ok(bounds)
}

struct Folding<'a> {
    client: &'a EtcdClient,
    layout: &'a Layout,
    writer: &'a Writer,
    run_bytes: usize,
    /// A run that changed and may become part of the one before it.
    small: Option<SmallRun>,
}

struct SmallRun {
    begin: Vec<u8>,
    /// The runs that it contains, beside the one that begins where it does.
    absorbed: Vec<Vec<u8>>,
    records: Vec<RunRecord>,
}

impl Folding<'_> {
    async fn fold_run(
        &mut self,
        begin: &[u8],
        end: Option<&[u8]>,
        overlay: &Overlay,
    ) -> Result<(), EtcdStoreError> {
        let upper = end.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let mut changes = overlay.range::<[u8], _>((std::ops::Bound::Included(begin), upper));
        if changes.next().is_none() {
            return self.write_small().await;
        }
        let run = match self.client.get(self.layout.run(begin)).await?.0 {
            Some(entry) => self.layout.unseal(&entry)?,
            None => Run::default(),
        };
        let records = merged(begin, end, run, overlay);
        let size = size(&records);
        let limit = self.run_bytes;
        let fits =
            |small: &SmallRun| small.absorbed.len() < ABSORBED && size + self::size(&small.records) <= limit;
        let (mut records, mut absorbed) = (records, Vec::new());
        match self.small.take() {
            Some(small) if fits(&small) => {
                records.extend(small.records);
                absorbed = small.absorbed;
                absorbed.push(small.begin);
            }
            small => {
                self.small = small;
                self.write_small().await?;
            }
        }
        if records.is_empty() || self::size(&records) < self.run_bytes / 2 {
            self.small = Some(SmallRun { begin: begin.to_vec(), absorbed, records });
            return Ok(());
        }
        self.write(begin, &absorbed, records).await
    }

    async fn write_small(&mut self) -> Result<(), EtcdStoreError> {
        match self.small.take() {
            Some(SmallRun { begin, absorbed, records }) => self.write(&begin, &absorbed, records).await,
            None => Ok(()),
        }
    }

    /// Writes records as a run, or as several, the last one first.
    async fn write(
        &self,
        begin: &[u8],
        absorbed: &[Vec<u8>],
        records: Vec<RunRecord>,
    ) -> Result<(), EtcdStoreError> {
        let mut pieces = split(records, self.run_bytes);
        let first = pieces.remove(0);
        for piece in pieces.into_iter().rev() {
            let begin = piece[0].key.clone();
            self.writer.make(&self.put(self.writer.fenced(), &begin, piece)).await?;
        }
        let transaction = self.put(self.writer.fenced(), begin, first);
        let delete = |transaction: Transaction, begin: &Vec<u8>| {
            transaction.delete(KeyRange::key(self.layout.run(begin)))
        };
        self.writer.make(&absorbed.iter().fold(transaction, delete)).await.map(|_| ())
    }

    fn put(&self, transaction: Transaction, begin: &[u8], records: Vec<RunRecord>) -> Transaction {
        let key = self.layout.run(begin);
        let value = self.layout.seal(&key, &Run { records });
        transaction.put(key, value)
    }
}

fn size(records: &[RunRecord]) -> usize {
    records.iter().map(record_size).sum()
}

fn record_size(record: &RunRecord) -> usize {
    record.encoded_len() + 4
}

/// Divides records into pieces of at most `bytes`, one at least; a larger record is a piece.
fn split(records: Vec<RunRecord>, bytes: usize) -> Vec<Vec<RunRecord>> {
    let (mut pieces, mut taken) = (vec![Vec::new()], 0);
    for record in records {
        let size = record_size(&record);
        if taken > 0 && taken + size > bytes {
            pieces.push(Vec::new());
            taken = 0;
        }
        taken += size;
        pieces.last_mut().expect("there is one at least").push(record);
    }
    pieces
}
