//! What happened, as those outside the service know it, and whether a store that was opened again
//! agrees.

use std::collections::BTreeMap;

use berth_placement::{Index, Record, Row};

use crate::kept::{Kept, Unit};

/// Everything recorded, and how far it has come. Units are counted from the beginning of time;
/// those that a crash took away are not counted any more.
#[derive(Default)]
pub(crate) struct History {
    /// The state after the last group that was committed, and how many units made it.
    committed: Kept,
    committed_units: usize,
    /// Units of a commit that has not succeeded.
    in_flight: Vec<Unit>,
    /// Units that no commit has.
    waiting: Vec<Unit>,
    /// The state after all of them.
    latest: Kept,
    /// The number of acknowledged units.
    acknowledged_units: usize,
    /// The largest acknowledged generations.
    acknowledged_generations: BTreeMap<Row, u64>,
    /// What the index held after so many units, asked of itself when no change was under way.
    seen: BTreeMap<usize, Vec<Record>>,
}

/// What an answer says of the state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Acknowledged {
    /// It was made when there were so many units.
    pub(crate) units: usize,
    pub(crate) generations: Vec<(Row, u64)>,
}

impl History {
    pub(crate) fn beginning_with(index: &Index) -> Self {
        let committed = Kept::of(index);
        Self { latest: committed.clone(), committed, ..Self::default() }
    }

    pub(crate) fn units(&self) -> usize {
        self.committed_units + self.in_flight.len() + self.waiting.len()
    }

    pub(crate) fn record(&mut self, unit: Unit) {
        self.latest.apply(&unit);
        self.waiting.push(unit);
    }

    /// A commit begins; it takes all that waits.
    pub(crate) fn begin_commit(&mut self) {
        self.in_flight.append(&mut self.waiting);
    }

    pub(crate) fn end_commit(&mut self) {
        self.committed_units += self.in_flight.len();
        self.in_flight.drain(..).for_each(|unit| self.committed.apply(&unit));
        self.seen = self.seen.split_off(&self.committed_units);
    }

    /// Somebody has an answer.
    pub(crate) fn acknowledge(&mut self, acknowledged: Acknowledged) {
        self.acknowledged_units = self.acknowledged_units.max(acknowledged.units);
        for (row, generation) in acknowledged.generations {
            let largest = self.acknowledged_generations.entry(row).or_default();
            *largest = generation.max(*largest);
        }
    }

    /// No change is under way, and this is what the index holds.
    pub(crate) fn see(&mut self, records: Vec<Record>) {
        let units = self.units();
        if let Some(before) = self.seen.insert(units, records) {
            assert_eq!(before, self.seen[&units], "something changed that was not recorded");
        }
    }

    /// Checks the state found after a crash. It is the state from now on, and may be acknowledged
    /// as a whole.
    pub(crate) fn resume(&mut self, index: &Index) {
        index.check().expect("what was loaded is consistent");
        let (found, records) = (Kept::of(index), index.snapshot().records().collect::<Vec<_>>());
        let before = self.committed_units;
        let Some(difference) = self.committed.differs_from(&found) else {
            return self.resume_with(found, before, &records);
        };
        self.in_flight.drain(..).for_each(|unit| {
            self.committed.apply(&unit);
            self.committed_units += 1;
        });
        let Some(other) = self.committed.differs_from(&found) else {
            return self.resume_with(found, self.committed_units, &records);
        };
        panic!("neither the last commit: {difference}\nnor the one under way: {other}");
    }

    fn resume_with(&mut self, found: Kept, units: usize, records: &[Record]) {
        assert!(
            self.acknowledged_units <= units,
            "acknowledged {} changes, found {units}",
            self.acknowledged_units
        );
        for (&row, &acknowledged) in &self.acknowledged_generations {
            let generation = found.generation(row);
            assert!(
                generation.is_none_or(|found| found >= acknowledged),
                "{row}: acknowledged {acknowledged}, found {generation:?}"
            );
        }
        if let Some(seen) = self.seen.get(&units) {
            assert_eq!(without_counts(seen), without_counts(records), "after {units} changes");
        }
        *self = Self {
            latest: found.clone(),
            committed: found,
            committed_units: units,
            acknowledged_units: units,
            acknowledged_generations: std::mem::take(&mut self.acknowledged_generations),
            ..Self::default()
        };
    }
}

/// Providers are counted when they are written, which may be later.
fn without_counts(records: &[Record]) -> Vec<Record> {
    let mut records = records.to_vec();
    for record in &mut records {
        if let Record::Provider(provider) = record {
            (provider.generation, provider.changed_at) = Default::default();
        }
    }
    records
}
