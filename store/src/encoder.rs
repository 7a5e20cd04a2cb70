//! Translates changes of an index into changes of records.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use berth_placement::{Consumer, ConsumerId, Index, Owner, Replaced, Row, StateChange};
use rustc_hash::FxHashMap;

use crate::message;
use crate::record::{self, Key, put, remove};
use crate::store::Changes;

/// Rows per record of generations; such a record fills about one page.
const BLOCK: u32 = 256;

/// Translates changes of the index into changes of records, and keeps the state that this requires.
///
/// **Counts.** A claim increments the generation of its provider, and the providers of one commit
/// usually lie in many blocks. A commit therefore writes one record with the generations that it
/// changed (a *delta*) and one complete block, in rotation. A delta is removed after every block
/// has been written since.
#[derive(Debug, Default)]
pub struct Encoder {
    owners: FxHashMap<Arc<Owner>, KnownOwner>,
    /// Numbers below this one have been assigned to owners.
    owner_numbers: u32,
    /// Numbers of removed owners, which can be assigned again.
    free_numbers: Vec<u32>,
    /// Owners without consumers, whose records the next commit removes.
    unused: Vec<Arc<Owner>>,
    /// The number of rows that were ever assigned to providers.
    rows: u32,
    /// Numbers of the stored deltas; `end` is the number of the next delta.
    deltas: Range<u64>,
    /// The block that the next commit writes.
    next_block: u32,
    /// Deltas with a lower number were stored before the current rotation began.
    before_round: u64,
}

/// An owner with a record.
#[derive(Debug)]
struct KnownOwner {
    number: u32,
    consumers: u64,
}

impl Encoder {
    /// Registers the stored owners, in order of number, each with its number of consumers. `None`
    /// stands for a free number.
    pub(crate) fn register_owners(&mut self, owners: impl IntoIterator<Item = Option<(Arc<Owner>, u64)>>) {
        for owner in owners {
            let number = self.owner_numbers;
            self.owner_numbers += 1;
            match owner {
                Some((owner, consumers)) => {
                    if consumers == 0 {
                        self.unused.push(Arc::clone(&owner));
                    }
                    let known = self.owners.entry(owner).or_insert(KnownOwner { number, consumers: 0 });
                    known.consumers += consumers;
                }
                None => self.free_numbers.push(number),
            }
        }
    }

    /// The owners that have records, with their numbers, in no particular order.
    pub(crate) fn owners(&self) -> impl Iterator<Item = (u32, &Arc<Owner>)> {
        #[expect(clippy::disallowed_methods, reason = "collected into another table")]
        self.owners.iter().map(|(owner, known)| (known.number, owner))
    }

    /// Registers the number of rows in use.
    pub(crate) fn register_rows(&mut self, rows: u32) {
        self.rows = self.rows.max(rows);
    }

    /// Registers a stored delta. Deltas are registered in order.
    pub(crate) fn register_delta(&mut self, number: u64) {
        if self.deltas.is_empty() {
            self.deltas.start = number;
        }
        self.deltas.end = number + 1;
        self.before_round = self.deltas.end;
    }

    /// Translates changes of the index, in order, into changes of records. Generations are read
    /// from the index now, so a later commit never lowers one.
    pub(crate) fn encode(&mut self, changes: Vec<StateChange>, index: &Index) -> Changes {
        let mut encoding = Encoding { encoder: self, out: Changes::new(), counted: BTreeSet::new() };
        changes.into_iter().for_each(|change| encoding.enter(change));
        encoding.remove_unused_owners();
        let Encoding { mut out, counted, .. } = encoding;
        if !counted.is_empty() {
            self.count(&mut out, counted, index);
        }
        out
    }

    /// Writes a delta and one block, and removes obsolete deltas.
    fn count(&mut self, out: &mut Changes, counted: BTreeSet<Row>, index: &Index) {
        put(out, Key::CountDelta(self.deltas.end), &counts(counted, index));
        self.deltas.end += 1;
        let block = self.next_block;
        // Write every row, also those without a provider: the removal of a provider may belong to a
        // later commit. If that commit fails, the provider is restored.
        let rows = (block * BLOCK..self.rows.min((block + 1) * BLOCK)).map(Row);
        put(out, Key::CountBlock(block), &counts(rows, index));
        self.next_block += 1;
        if self.next_block * BLOCK >= self.rows {
            let old = self.deltas.start..self.before_round;
            old.clone().for_each(|number| remove(out, Key::CountDelta(number)));
            self.deltas.start = self.deltas.start.max(old.end);
            self.before_round = self.deltas.end;
            self.next_block = 0;
        }
    }
}

fn counts(rows: impl IntoIterator<Item = Row>, index: &Index) -> message::Counts {
    let mut counts = message::Counts::default();
    for row in rows {
        counts.rows.push(row.0);
        counts.generations.push(index.generation(row));
        counts.changed_at.push(index.changed_at(row).0);
    }
    counts
}

/// The state while one commit is translated.
struct Encoding<'a> {
    encoder: &'a mut Encoder,
    out: Changes,
    counted: BTreeSet<Row>,
}

impl Encoding<'_> {
    fn enter(&mut self, change: StateChange) {
        match change {
            StateChange::Class(id, record) => self.set(Key::Class(id), record.as_ref().map(record::name)),
            StateChange::Trait(id, record) => self.set(Key::Trait(id), record.as_ref().map(record::name)),
            StateChange::Provider(row, Some(state)) => {
                self.use_row(row);
                put(&mut self.out, Key::Provider(row), &record::provider(&state));
            }
            StateChange::Provider(row, None) => {
                self.counted.remove(&row);
                remove(&mut self.out, Key::Provider(row));
                remove(&mut self.out, Key::Inventories(row));
            }
            StateChange::Inventories(row, inventories) => {
                put(&mut self.out, Key::Inventories(row), &record::inventories(&inventories));
            }
            StateChange::Counted(row) => {
                self.counted.insert(row);
            }
            StateChange::Consumer { id, replaces, after } => self.consumer(id, replaces, after),
        }
    }

    fn set(&mut self, key: Key, message: Option<message::Name>) {
        match message {
            Some(message) => put(&mut self.out, key, &message),
            None => remove(&mut self.out, key),
        }
    }

    fn use_row(&mut self, row: Row) {
        if row.0 >= self.encoder.rows {
            self.encoder.rows = row.0 + 1;
            put(&mut self.out, Key::Rows, &message::Rows { rows: row.0 + 1 });
        }
    }

    fn consumer(&mut self, id: ConsumerId, replaces: Option<Replaced>, after: Option<Consumer>) {
        if let Some(Replaced { serial, owner }) = replaces {
            if let Some(owner) = owner {
                self.leave_owner(owner);
            }
            let key = Key::Consumer(serial).bytes();
            // A consumer that was added and removed in one commit needs no record.
            if self.out.remove(&key).is_none() {
                self.out.insert(key, None);
            }
        }
        if let Some(after) = after {
            let owner = after.owner.as_ref().map(|owner| self.owner(owner));
            put(&mut self.out, Key::Consumer(after.serial), &record::consumer(id, &after, owner));
        }
    }

    /// Adds a consumer to an owner, and returns the owner's number.
    fn owner(&mut self, owner: &Arc<Owner>) -> u32 {
        if let Some(known) = self.encoder.owners.get_mut(owner) {
            known.consumers += 1;
            return known.number;
        }
        let number = self.encoder.free_numbers.pop().unwrap_or_else(|| {
            self.encoder.owner_numbers += 1;
            self.encoder.owner_numbers - 1
        });
        put(&mut self.out, Key::Owner(number), &record::owner(owner));
        self.encoder.owners.insert(Arc::clone(owner), KnownOwner { number, consumers: 1 });
        number
    }

    fn leave_owner(&mut self, owner: Arc<Owner>) {
        if let Some(known) = self.encoder.owners.get_mut(&owner) {
            known.consumers = known.consumers.saturating_sub(1);
            if known.consumers == 0 {
                self.encoder.unused.push(owner);
            }
        }
    }

    /// Called at the end of a commit, because a later change may add a consumer to the owner.
    fn remove_unused_owners(&mut self) {
        for owner in std::mem::take(&mut self.encoder.unused) {
            if let Some(KnownOwner { number, consumers: 0 }) = self.encoder.owners.get(&owner) {
                let number = *number;
                remove(&mut self.out, Key::Owner(number));
                self.encoder.owners.remove(&owner);
                self.encoder.free_numbers.push(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use berth_placement::{ClassId, Inventory};
    use uuid::Uuid;

    use super::*;

    /// If the next commit fails, the removal is rolled back.
    #[test]
    fn the_count_of_a_provider_outlives_a_removal_that_is_not_committed() {
        let index = Index::with_holders();
        let mut writer = index.write();
        let row = writer.add_provider(Uuid::from_u128(1), "host", None).unwrap();
        drop(writer);
        for total in 1..8 {
            let inventories = vec![(ClassId::VCPU, Inventory::of(total))];
            index.write().set_inventories(row, None, inventories).unwrap();
        }
        let state: Vec<StateChange> = index.snapshot().changes().collect();
        index.write().remove_provider(row).unwrap();
        let changes = Encoder::default().encode(state, &index);
        let block = changes[&Key::CountBlock(0).bytes()].as_ref().unwrap();
        let counts = record::read_counts(block).unwrap();
        assert!(counts.iter().any(|&(of, generation, _)| of == row && generation >= 7), "{counts:?}");
    }
}
