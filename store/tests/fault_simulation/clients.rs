//! What clients do: drawn first, then done.

use std::hash::BuildHasher;
use std::sync::Arc;

use berth_placement::{
    Allocation, ClassId, ConsumerId, ConsumerWrite, ExpectedGeneration, Index, Inventory, Owner, Rewrite,
    Row, Timestamp,
};
use rustc_hash::FxBuildHasher;
use uuid::Uuid;

use crate::rng::SeededRng;

const PROVIDERS: u32 = 7;
const CONSUMERS: u32 = 10;

/// One operation.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    /// On consumers alone.
    OnConsumers(OnConsumers),
    /// On the topology, one at a time.
    OnTopology(OnTopology),
}

#[derive(Debug, Clone)]
pub(crate) enum OnConsumers {
    Claim(ConsumerId, Vec<Allocation>),
    Release(ConsumerId),
    Remove(ConsumerId),
    Transfer(Vec<ConsumerWrite>),
    Read(ConsumerId),
}

#[derive(Debug, Clone)]
pub(crate) enum OnTopology {
    Add(u32, Option<Row>),
    Remove(Row),
    Rename(Row, u32),
    Move(Row, Option<Row>),
    SetInventory(Row, ClassId, Option<u32>),
    SetInventories(Row, Option<u64>, u32),
    SetTraits(Row, u32),
    SetAggregates(Row, u32),
    RemoveTrait(u32),
    RenameClass(u32),
    Reshape(Row, u32, Vec<ConsumerWrite>),
}

/// What locks of an index an operation may hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locks {
    pub(crate) topology: bool,
    /// Whether it holds them now.
    pub(crate) held: bool,
    shards: Vec<u64>,
}

impl Locks {
    fn of_consumers<'a>(consumers: impl IntoIterator<Item = &'a ConsumerId>) -> Vec<u64> {
        // As the index has them: an operation in the middle of another must not wait for it.
        consumers.into_iter().map(|consumer| (FxBuildHasher.hash_one(consumer) >> 40) % 128).collect()
    }

    pub(crate) fn meet(&self, other: &Self) -> bool {
        (self.topology && other.topology) || self.shards.iter().any(|shard| other.shards.contains(shard))
    }
}

impl Operation {
    pub(crate) fn locks(&self) -> Locks {
        match self {
            Self::OnConsumers(operation) => Locks { shards: operation.shards(), ..Locks::default() },
            Self::OnTopology(OnTopology::Reshape(_, _, writes)) => {
                Locks { topology: true, shards: shards_of(writes), held: false }
            }
            Self::OnTopology(_) => Locks { topology: true, ..Locks::default() },
        }
    }

    /// The providers it is about, as far as they are known before.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let of = |writes: &[ConsumerWrite]| {
            writes.iter().flat_map(|write| &write.allocations).map(|held| held.row).collect::<Vec<_>>()
        };
        match self {
            Self::OnConsumers(OnConsumers::Claim(_, allocations)) => {
                allocations.iter().map(|held| held.row).collect()
            }
            Self::OnConsumers(OnConsumers::Transfer(writes)) => of(writes),
            Self::OnTopology(OnTopology::Reshape(row, _, writes)) => [of(writes), vec![*row]].concat(),
            Self::OnTopology(
                OnTopology::SetInventory(row, ..)
                | OnTopology::SetInventories(row, ..)
                | OnTopology::SetTraits(row, _)
                | OnTopology::SetAggregates(row, _),
            ) => vec![*row],
            _ => Vec::new(),
        }
    }

    /// Does it, or is refused.
    pub(crate) fn perform(&self, index: &Index, now: Timestamp) -> bool {
        match self {
            Self::OnConsumers(operation) => operation.perform(index, now),
            Self::OnTopology(operation) => operation.perform(index, now),
        }
    }
}

fn shards_of(writes: &[ConsumerWrite]) -> Vec<u64> {
    Locks::of_consumers(writes.iter().map(|write| &write.consumer))
}

impl OnConsumers {
    fn shards(&self) -> Vec<u64> {
        match self {
            Self::Claim(id, _) | Self::Release(id) | Self::Remove(id) | Self::Read(id) => {
                Locks::of_consumers([id])
            }
            Self::Transfer(writes) => shards_of(writes),
        }
    }

    fn perform(&self, index: &Index, now: Timestamp) -> bool {
        match self {
            Self::Claim(consumer, allocations) => index.claim(*consumer, allocations).is_ok(),
            Self::Release(consumer) => index.release(*consumer).is_ok(),
            Self::Remove(consumer) => index.release_uncounted(*consumer).is_some(),
            Self::Transfer(writes) => index.transfer(writes, now).is_ok(),
            Self::Read(consumer) => index.consumer(*consumer).is_some(),
        }
    }
}

impl OnTopology {
    fn perform(&self, index: &Index, now: Timestamp) -> bool {
        if let Self::Reshape(row, total, writes) = self {
            let inventories = vec![(ClassId::VCPU, Inventory::of(*total))];
            let rewrite = Rewrite { row: *row, generation: None, inventories };
            return index.reshape(&[rewrite], writes, now).is_ok();
        }
        let mut writer = index.write_at(now);
        match *self {
            Self::Add(number, parent) => {
                writer.add_provider(uuid(number), &format!("p{number}"), parent).is_ok()
            }
            Self::Remove(row) => writer.remove_provider(row).is_ok(),
            Self::Rename(row, name) => writer.rename_provider(row, &format!("name {name}")).is_ok(),
            Self::Move(row, parent) => writer.move_provider(row, parent).is_ok(),
            Self::SetInventory(row, class, total) => {
                let inventory = total.map(Inventory::of);
                writer.set_inventory(row, class, inventory.as_ref()).is_ok()
            }
            Self::SetInventories(row, generation, total) => {
                let inventories =
                    vec![(ClassId::VCPU, Inventory::of(total)), (ClassId::DISK_GB, Inventory::of(9))];
                writer.set_inventories(row, generation, inventories).is_ok()
            }
            Self::SetTraits(row, bits) => {
                let named = (0..3).filter(|bit| bits >> bit & 1 == 1).map(|bit| format!("CUSTOM_{bit}"));
                let traits: Vec<_> = named.map(|name| writer.trait_named(&name)).collect();
                writer.set_traits(row, &traits).is_ok()
            }
            Self::SetAggregates(row, number) => {
                writer.set_aggregates(row, &[Uuid::from_u128(1000 + u128::from(number))]).is_ok()
            }
            Self::RemoveTrait(number) => {
                let id = writer.topology().find_trait(&format!("CUSTOM_{number}"));
                id.is_some_and(|id| writer.remove_trait(id).is_ok())
            }
            Self::RenameClass(number) => {
                let class = writer.resource_class("CUSTOM_A");
                class.is_ok_and(|class| writer.rename_class(class, &format!("CUSTOM_B{number}")).is_ok())
            }
            Self::Reshape(..) => unreachable!("done above"),
        }
    }
}

/// Draws operations that fit the index more often than not.
pub(crate) struct Draw<'a> {
    pub(crate) rng: &'a SeededRng,
    pub(crate) index: &'a Index,
    /// Whether no consumer is locked.
    pub(crate) may_look: bool,
}

impl Draw<'_> {
    pub(crate) fn operation(&self) -> Operation {
        if self.rng.below(10) < 6 {
            Operation::OnConsumers(self.on_consumers())
        } else {
            Operation::OnTopology(self.on_topology())
        }
    }

    pub(crate) fn on_consumers(&self) -> OnConsumers {
        match self.rng.below(12) {
            0..3 => OnConsumers::Claim(self.consumer(), vec![self.allocation()]),
            3..5 => OnConsumers::Release(self.consumer()),
            5 => OnConsumers::Remove(self.consumer()),
            6 => OnConsumers::Read(self.consumer()),
            _ => OnConsumers::Transfer(self.writes()),
        }
    }

    fn on_topology(&self) -> OnTopology {
        let (rng, row) = (self.rng, self.row());
        match rng.below(14) {
            0 => OnTopology::Add(rng.below(PROVIDERS), rng.one_in(3).then(|| self.row())),
            1 => OnTopology::Remove(row),
            2 => OnTopology::Rename(row, rng.below(9)),
            3 => OnTopology::Move(row, rng.one_in(2).then(|| self.row())),
            4..6 => {
                let class = *rng.pick(&[ClassId::VCPU, ClassId::DISK_GB]);
                OnTopology::SetInventory(row, class, (!rng.one_in(4)).then(|| 1 + rng.below(12)))
            }
            6..8 => {
                let current = self.index.generation(row);
                let generation = *rng.pick(&[None, Some(current), Some(current.saturating_sub(1))]);
                OnTopology::SetInventories(row, generation, 1 + rng.below(12))
            }
            8 => OnTopology::SetTraits(row, rng.below(8)),
            9 => OnTopology::SetAggregates(row, rng.below(3)),
            10 => OnTopology::RemoveTrait(rng.below(3)),
            11 => OnTopology::RenameClass(rng.below(4)),
            _ => OnTopology::Reshape(row, 4 + rng.below(9), self.writes()),
        }
    }

    fn consumer(&self) -> ConsumerId {
        ConsumerId(u128::from(self.rng.below(CONSUMERS)) + 100)
    }

    /// Of an existing provider, most often one of few, so that capacity is scarce.
    fn row(&self) -> Row {
        let number = if self.rng.one_in(2) { self.rng.below(2) } else { self.rng.below(PROVIDERS) };
        self.index.find(uuid(number)).unwrap_or(Row(self.rng.below(800)))
    }

    fn allocation(&self) -> Allocation {
        let class = if self.rng.one_in(6) { ClassId::DISK_GB } else { ClassId::VCPU };
        Allocation { row: self.row(), class, amount: 1 + self.rng.below(8) }
    }

    fn writes(&self) -> Vec<ConsumerWrite> {
        let mut writes: Vec<ConsumerWrite> = (0..=self.rng.below(2)).map(|_| self.write()).collect();
        writes.sort_by_key(|write| write.consumer);
        writes.dedup_by_key(|write| write.consumer);
        writes
    }

    fn write(&self) -> ConsumerWrite {
        let consumer = self.consumer();
        let found = self.may_look.then(|| self.index.consumer(consumer)).flatten();
        let found = found.map(|entry| entry.generation);
        let right = found.map_or(ExpectedGeneration::New, ExpectedGeneration::Exactly);
        let stale = ExpectedGeneration::Exactly(found.unwrap_or(1).saturating_sub(1));
        let generation = match self.rng.below(8) {
            0 => stale,
            1 => ExpectedGeneration::New,
            2..5 => ExpectedGeneration::Any,
            _ => right,
        };
        let mut allocations: Vec<_> = (0..self.rng.below(3)).map(|_| self.allocation()).collect();
        allocations.sort_unstable();
        allocations.dedup_by_key(|held| (held.row, held.class));
        let project = format!("project {}", self.rng.below(3));
        let owner = Owner { project: project.into(), user: "u".into(), consumer_type: None };
        ConsumerWrite {
            consumer,
            generation,
            owner: Arc::new(owner),
            allocations: allocations.into_iter().collect(),
        }
    }
}

pub(crate) fn uuid(number: u32) -> Uuid {
    Uuid::from_u128(u128::from(number) + 1)
}
