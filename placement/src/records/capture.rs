//! Captures an index's state.

use std::sync::Arc;

use crate::consumers::{Allocation, Consumer, ConsumerId};
use crate::ids::{ClassId, Row, Timestamp, TraitId};
use crate::index::Index;
use crate::inventory::Inventory;
use crate::names::Names;
use crate::recorder::{ProviderState, StateChange};
use crate::records::{AllocationRecord, ConsumerRecord, NameRecord, ProviderRecord, Record};
use crate::topology::{Provider, Topology};

/// The state of an index at one moment. Much smaller than its records, which are created one at a
/// time.
pub struct Snapshot {
    topology: Arc<Topology>,
    /// In order of row.
    providers: Vec<Amounts>,
    /// In order of UUID.
    consumers: Vec<(ConsumerId, Consumer)>,
}

/// The properties of a provider that are not part of the topology.
struct Amounts {
    row: Row,
    generation: u64,
    changed_at: Timestamp,
    inventories: Vec<(ClassId, Inventory)>,
}

/// A point in the history of an index. A different mark means that something has changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    topology: u64,
    journal: u64,
}

impl Index {
    /// The current point in the index's history.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { topology: self.topology().version, journal: self.journal().end() }
    }

    /// The current state. Claims and writers wait while it is copied.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_with(|| ()).0
    }

    /// [`Self::snapshot`] together with state outside the index: `hold` locks that state, and its
    /// return value is held while the index is copied. `hold` runs under the writer's lock, before
    /// the locks of consumers.
    pub fn snapshot_with<T>(&self, hold: impl FnOnce() -> T) -> (Snapshot, T) {
        let no_writer = self.only_writer();
        let held = hold();
        let locked = self.consumers.lock_all();
        let topology = self.topology();
        let providers = topology.providers().map(|(row, _)| self.amounts(row)).collect();
        #[expect(clippy::disallowed_methods, reason = "sorted below")]
        let mut consumers: Vec<(ConsumerId, Consumer)> = locked
            .iter()
            .flat_map(|shard| shard.iter().map(|(&id, entry)| (id.into(), entry.into())))
            .collect();
        drop(locked);
        drop(no_writer);
        consumers.sort_unstable_by_key(|(consumer, _)| *consumer);
        (Snapshot { topology, providers, consumers }, held)
    }

    fn amounts(&self, row: Row) -> Amounts {
        let (generation, inventories) = self.inventories(row);
        Amounts { row, generation, changed_at: self.changed_at(row), inventories }
    }
}

impl Snapshot {
    /// The number of providers.
    #[must_use]
    pub fn providers(&self) -> usize {
        self.providers.len()
    }

    /// The number of consumers.
    #[must_use]
    pub fn consumers(&self) -> usize {
        self.consumers.len()
    }

    /// All records in the order in which they can be restored: classes, traits, providers in row
    /// order, consumers in UUID order.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        let classes = names(self.topology.classes()).map(Record::Class);
        let traits = names(self.topology.traits()).map(Record::Trait);
        let providers = self.providers.iter().map(|amounts| Record::Provider(self.provider(amounts)));
        let consumers = self.consumers.iter().map(|(id, entry)| Record::Consumer(self.consumer(*id, entry)));
        classes.chain(traits).chain(providers).chain(consumers)
    }

    /// The same state as changes, as a recorder receives them. The consumers' entries get new
    /// serial numbers.
    pub fn changes(&self) -> impl Iterator<Item = StateChange> {
        let topology = &self.topology;
        let classes = topology.classes();
        let class = |number: u32| ClassId(u16::try_from(number).expect("bounded by the ledger"));
        let classes = classes.iter().map(move |(id, _)| StateChange::Class(class(id), classes.record(id)));
        let traits = topology.traits();
        let traits = traits.iter().map(|(id, _)| StateChange::Trait(TraitId(id), traits.record(id)));
        let providers = self.providers.iter().flat_map(|amounts| {
            let &Amounts { row, ref inventories, .. } = amounts;
            let state = ProviderState::from(self.known(row));
            let inventories = StateChange::Inventories(row, inventories.clone());
            [StateChange::Provider(row, Some(state)), inventories, StateChange::Counted(row)]
        });
        let consumers = self.consumers.iter().zip(1..).map(|((id, entry), serial)| {
            let after = Some(Consumer { serial, ..entry.clone() });
            StateChange::Consumer { id: *id, replaces: None, after }
        });
        classes.chain(traits).chain(providers).chain(consumers)
    }

    fn provider(&self, amounts: &Amounts) -> ProviderRecord {
        let provider = self.known(amounts.row);
        let inventories = amounts.inventories.iter();
        let traits = provider.traits.iter();
        ProviderRecord {
            uuid: provider.uuid,
            name: Arc::clone(&provider.name),
            parent: provider.parent.map(|parent| self.known(parent).uuid),
            generation: amounts.generation,
            changed_at: amounts.changed_at,
            inventories: inventories.map(|&(class, inventory)| (self.class(class), inventory)).collect(),
            traits: traits.map(|id| self.topology.traits().shared(id.0).expect("a known trait")).collect(),
            aggregates: provider.aggregates.to_vec(),
        }
    }

    fn consumer(&self, consumer: ConsumerId, entry: &Consumer) -> ConsumerRecord {
        let allocation = |&Allocation { row, class, amount }: &Allocation| AllocationRecord {
            provider: self.known(row).uuid,
            class: self.class(class),
            amount,
        };
        ConsumerRecord {
            uuid: consumer.into(),
            owner: entry.owner.clone(),
            generation: entry.generation,
            written_at: entry.written_at,
            allocations: entry.allocations.iter().map(allocation).collect(),
        }
    }

    fn known(&self, row: Row) -> &Provider {
        self.topology.provider(row).expect("writers and claims waited")
    }

    fn class(&self, class: ClassId) -> Arc<str> {
        self.topology.classes().shared(class.0.into()).expect("a class with an inventory is known")
    }
}

fn names(names: &Names) -> impl Iterator<Item = NameRecord> {
    names.iter().map(|(number, _)| names.record(number).expect("it was listed"))
}
