//! A dump made into records.

use std::collections::BTreeMap;
use std::io::{self, BufRead};
use std::sync::Arc;

use berth_placement::{AllocationRecord, ConsumerRecord, NameRecord, Owner, ProviderRecord, Record};
use uuid::Uuid;

use super::query::COUNTED;
use super::rows::{ConsumerRow, ProviderRow, Row};

/// A dump that cannot be carried over.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The system's word.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line that is no row, or a row that does not fit to those before it.
    #[error("line {line}: {problem}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The problem.
        problem: String,
    },
    /// The last line is missing.
    #[error("the dump is not complete: its last line is missing")]
    Incomplete,
    /// The database has more or fewer rows than the dump.
    #[error("the dump has {found} rows of {table}, and the database says {counted}")]
    Count {
        /// The table.
        table: &'static str,
        /// The rows in the dump.
        found: u64,
        /// The rows in the database.
        counted: u64,
    },
    /// A consumer with allocations has no project and user.
    #[error(
        "there are allocations of consumer {0}, but no such consumer (run `placement-manage db online_data_migrations` first)"
    )]
    NoConsumer(Uuid),
}

/// Reads the output of [`Dialect::query`](super::Dialect::query) and checks that nothing of it is
/// missing.
///
/// # Errors
/// The first line that cannot be understood, or a number of rows that is not what the database
/// counted.
pub fn read_dump(input: impl BufRead) -> Result<Vec<Record>, DumpError> {
    let mut tables = Tables::default();
    let mut counts = None;
    for (line, text) in (1..).zip(input.lines()) {
        let text = text?;
        if text.trim().is_empty() {
            continue;
        }
        let fail = |problem: String| DumpError::Line { line, problem };
        if counts.is_some() {
            return Err(fail("something follows the last line".to_owned()));
        }
        match Row::parse(&text).map_err(|error| fail(error.to_string()))? {
            Row::End { counts: counted } => counts = Some(counted),
            row => tables.add(row).map_err(fail)?,
        }
    }
    tables.check(&counts.ok_or(DumpError::Incomplete)?)?;
    tables.into_records()
}

/// The contents read so far.
#[derive(Default)]
struct Tables {
    classes: BTreeMap<u64, NameRecord>,
    traits: BTreeMap<u64, NameRecord>,
    providers: BTreeMap<u64, Provider>,
    consumers: BTreeMap<Uuid, ConsumerRecord>,
    /// By consumer.
    allocations: BTreeMap<Uuid, Vec<AllocationRecord>>,
    /// Rows of each table, in the order of [`COUNTED`].
    found: [u64; COUNTED.len()],
}

struct Provider {
    record: ProviderRecord,
    parent_id: Option<u64>,
}

impl Tables {
    fn add(&mut self, row: Row) -> Result<(), String> {
        if let Some(table) = COUNTED.iter().position(|(name, _)| *name == row.name()) {
            self.found[table] += 1;
        }
        match row {
            Row::Class { id, name, since } => {
                self.classes.insert(id, NameRecord { name: name.into(), since });
            }
            Row::Trait { id, name, since } => {
                self.traits.insert(id, NameRecord { name: name.into(), since });
            }
            Row::Provider(row) => {
                self.providers.insert(row.id, provider(row)?);
            }
            Row::Inventory { provider_id, class_id, inventory } => {
                let class = self.class(class_id)?;
                self.provider(provider_id)?.inventories.push((class, inventory));
            }
            Row::ProviderTrait { provider_id, trait_id } => {
                let known = self.traits.get(&trait_id).ok_or_else(|| missing("trait", trait_id))?;
                let name = Arc::clone(&known.name);
                self.provider(provider_id)?.traits.push(name);
            }
            Row::ProviderAggregate { provider_id, aggregate } => {
                let aggregate = read_uuid(&aggregate)?;
                self.provider(provider_id)?.aggregates.push(aggregate);
            }
            Row::Consumer(row) => {
                let record = consumer(row)?;
                self.consumers.insert(record.uuid, record);
            }
            Row::Allocation { consumer, provider_id, class_id, used } => {
                let class = self.class(class_id)?;
                let provider = self.provider(provider_id)?.uuid;
                let allocation = AllocationRecord { provider, class, amount: used };
                self.allocations.entry(read_uuid(&consumer)?).or_default().push(allocation);
            }
            Row::End { .. } => {}
        }
        Ok(())
    }

    fn class(&self, id: u64) -> Result<Arc<str>, String> {
        let class = self.classes.get(&id).ok_or_else(|| missing("resource class", id))?;
        Ok(Arc::clone(&class.name))
    }

    fn provider(&mut self, id: u64) -> Result<&mut ProviderRecord, String> {
        let provider = self.providers.get_mut(&id).ok_or_else(|| missing("resource provider", id))?;
        Ok(&mut provider.record)
    }

    fn check(&self, counts: &[u64]) -> Result<(), DumpError> {
        let counts = counts.iter().copied().chain(std::iter::repeat(0));
        for ((&(_, table), &found), counted) in COUNTED.iter().zip(&self.found).zip(counts) {
            if found != counted {
                return Err(DumpError::Count { table, found, counted });
            }
        }
        Ok(())
    }

    /// The records in the order in which they can be restored.
    fn into_records(self) -> Result<Vec<Record>, DumpError> {
        let Self { classes, traits, providers, mut consumers, allocations, .. } = self;
        let uuids: BTreeMap<u64, Uuid> =
            providers.iter().map(|(&id, provider)| (id, provider.record.uuid)).collect();
        for (uuid, held) in allocations {
            consumers.get_mut(&uuid).ok_or(DumpError::NoConsumer(uuid))?.allocations = held;
        }
        let mut records: Vec<Record> = classes.into_values().map(Record::Class).collect();
        records.extend(traits.into_values().map(Record::Trait));
        for Provider { record, parent_id } in providers.into_values() {
            // A foreign key stands behind it.
            let parent = parent_id.and_then(|id| uuids.get(&id).copied());
            records.push(Record::Provider(ProviderRecord { parent, ..record }));
        }
        // Placement forgets consumers that hold nothing; some that it did not get to may be left.
        let holding = consumers.into_values().filter(|consumer| !consumer.allocations.is_empty());
        records.extend(holding.map(Record::Consumer));
        Ok(records)
    }
}

fn provider(row: ProviderRow) -> Result<Provider, String> {
    let ProviderRow { uuid, name, generation, parent_id, changed_at, .. } = row;
    let (inventories, traits, aggregates) = Default::default();
    let (uuid, name, parent) = (read_uuid(&uuid)?, name.into(), None);
    let record =
        ProviderRecord { uuid, name, parent, generation, changed_at, inventories, traits, aggregates };
    Ok(Provider { record, parent_id })
}

fn consumer(row: ConsumerRow) -> Result<ConsumerRecord, String> {
    let ConsumerRow { uuid, project, user, consumer_type, generation, changed_at } = row;
    let (project, user, consumer_type) = (project.into(), user.into(), consumer_type.map(Into::into));
    Ok(ConsumerRecord {
        uuid: read_uuid(&uuid)?,
        owner: Some(Arc::new(Owner { project, user, consumer_type })),
        generation,
        written_at: changed_at,
        allocations: Vec::new(),
    })
}

fn read_uuid(text: &str) -> Result<Uuid, String> {
    Uuid::try_parse(text).map_err(|_| format!("{text:?} is no UUID"))
}

fn missing(what: &str, id: u64) -> String {
    format!("there is no {what} with id {id}")
}
