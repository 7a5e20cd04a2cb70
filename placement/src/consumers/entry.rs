//! A consumer as the table stores it. Few are more than a VM on one host, so that takes 24 bytes.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::consumers::{Allocation, Allocations, Consumer, ConsumerId, Owner};
use crate::groups::ConsumerGroup;
use crate::ids::{Row, Timestamp};
use crate::kernel::CLASSES;
use crate::view::HOST_CLASSES;

/// A [`ConsumerId`] with the alignment of the entry, so that the table has no padding.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(Rust, packed(8))]
pub(crate) struct Key(u128);

impl From<ConsumerId> for Key {
    fn from(consumer: ConsumerId) -> Self {
        Self(consumer.0)
    }
}

impl From<Key> for ConsumerId {
    fn from(key: Key) -> Self {
        Self(key.0)
    }
}

/// The entry of a consumer: the same as a [`Consumer`], packed.
#[derive(Debug)]
pub(crate) struct Entry {
    on_host: HostAmounts,
    /// `None` stands for the default.
    rest: Option<Box<Rest>>,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<(Key, Entry)>() == 40, "the table has no padding");

/// Allocations of host classes on one provider.
#[derive(Debug, Clone, Copy)]
struct HostAmounts {
    row: Row,
    /// 0 stands for no allocation.
    amounts: [u32; CLASSES],
}

/// What a VM of a simulation does not have.
#[derive(Debug, PartialEq, Eq)]
struct Rest {
    /// All allocations, if [`HostAmounts`] cannot express them; otherwise empty.
    allocations: Box<[Allocation]>,
    owner: Option<Arc<Owner>>,
    generation: u64,
    written_at: Timestamp,
    serial: u64,
    group: Option<Arc<ConsumerGroup>>,
}

impl Default for Rest {
    fn default() -> Self {
        let allocations = Box::default();
        let written_at = Timestamp::default();
        Self { allocations, owner: None, generation: 1, written_at, serial: 0, group: None }
    }
}

impl Entry {
    #[inline]
    pub(crate) fn allocations(&self) -> Allocations {
        match &self.rest {
            Some(rest) if !rest.allocations.is_empty() => SmallVec::from_slice(&rest.allocations),
            _ => self.on_host.allocations(),
        }
    }

    pub(crate) fn owner(&self) -> Option<&Arc<Owner>> {
        self.rest.as_ref()?.owner.as_ref()
    }

    pub(crate) fn generation(&self) -> u64 {
        self.rest.as_ref().map_or(Rest::default().generation, |rest| rest.generation)
    }

    pub(crate) fn serial(&self) -> u64 {
        self.rest.as_ref().map_or(Rest::default().serial, |rest| rest.serial)
    }

    /// The server group that it joined, which may have been removed since.
    pub(crate) fn group(&self) -> Option<&Arc<ConsumerGroup>> {
        self.rest.as_ref()?.group.as_ref()
    }

    pub(crate) fn join(&mut self, group: &Arc<ConsumerGroup>) {
        self.rest.get_or_insert_default().group = Some(Arc::clone(group));
    }
}

impl From<Consumer> for Entry {
    #[inline]
    fn from(consumer: Consumer) -> Self {
        let Consumer { allocations, owner, generation, written_at, serial, group } = consumer;
        let on_host = HostAmounts::of(&allocations);
        let allocations = if on_host.is_some() { Box::default() } else { allocations.into_boxed_slice() };
        let rest = Rest { allocations, owner, generation, written_at, serial, group };
        Self {
            on_host: on_host.unwrap_or(HostAmounts::NONE),
            rest: (rest != Rest::default()).then(|| Box::new(rest)),
        }
    }
}

impl From<&Entry> for Consumer {
    fn from(entry: &Entry) -> Self {
        let allocations = entry.allocations();
        match entry.rest.as_deref() {
            None => Self::holding(allocations),
            Some(Rest { owner, generation, written_at, serial, group, .. }) => Self {
                allocations,
                owner: owner.clone(),
                generation: *generation,
                written_at: *written_at,
                serial: *serial,
                group: group.clone(),
            },
        }
    }
}

impl From<Entry> for Consumer {
    #[inline]
    fn from(entry: Entry) -> Self {
        let allocations = entry.allocations();
        match entry.rest {
            None => Self::holding(allocations),
            Some(rest) => {
                let Rest { owner, generation, written_at, serial, group, .. } = *rest;
                Self { allocations, owner, generation, written_at, serial, group }
            }
        }
    }
}

impl HostAmounts {
    const NONE: Self = Self { row: Row(0), amounts: [0; CLASSES] };

    /// `None` for allocations that are not in order of class, on several providers, of other
    /// classes, or of nothing.
    #[inline]
    fn of(allocations: &[Allocation]) -> Option<Self> {
        let Some(first) = allocations.first() else { return Some(Self::NONE) };
        let mut amounts = [0; CLASSES];
        let mut least = 0;
        for &Allocation { row, class, amount } in allocations {
            if row != first.row || amount == 0 || !(least..CLASSES).contains(&class.index()) {
                return None;
            }
            amounts[class.index()] = amount;
            least = class.index() + 1;
        }
        Some(Self { row: first.row, amounts })
    }

    #[inline]
    fn allocations(self) -> Allocations {
        let Self { row, amounts } = self;
        let held = HOST_CLASSES.into_iter().zip(amounts).filter(|(_, amount)| *amount > 0);
        held.map(|(class, amount)| Allocation { row, class, amount }).collect()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::groups::{GroupId, GroupPolicy};
    use crate::ids::ClassId;
    use crate::index::Index;

    fn allocation() -> impl Strategy<Value = Allocation> {
        (0..2_u32, 0..4_u16, 0..3_u32).prop_map(|(row, class, amount)| Allocation {
            row: Row(row),
            class: ClassId(class),
            amount,
        })
    }

    fn owner() -> Option<Arc<Owner>> {
        Some(Arc::new(Owner { project: "p".into(), user: "u".into(), consumer_type: None }))
    }

    proptest! {
        /// Whatever a consumer has, in whatever order: the table has the same.
        #[test]
        fn an_entry_is_its_consumer(
            allocations in proptest::collection::vec(allocation(), 0..5),
            is_owned: bool,
            (generation, written_at, serial) in (0..3_u64, 0..2_u64, 0..2_u64),
            is_member: bool,
        ) {
            let mut consumer = Consumer::new(
                allocations.into(),
                is_owned.then(owner).flatten(),
                generation,
                Timestamp(written_at),
            );
            consumer.serial = serial;
            let mut entry = Entry::from(consumer.clone());
            if is_member {
                let index = Index::default();
                index.add_group(GroupId(7), GroupPolicy::Affinity).unwrap();
                let group = index.group(GroupId(7)).unwrap();
                entry.join(&group);
                consumer.group = Some(group);
            }
            prop_assert_eq!(entry.allocations(), consumer.allocations.clone());
            prop_assert_eq!(entry.owner(), consumer.owner.as_ref());
            prop_assert_eq!((entry.generation(), entry.serial()), (consumer.generation, consumer.serial));
            prop_assert_eq!(entry.group(), consumer.group.as_ref());
            prop_assert_eq!(&Consumer::from(&entry), &consumer);
            prop_assert_eq!(Consumer::from(entry), consumer);
        }
    }

    #[test]
    fn a_plain_vm_takes_no_memory_outside_the_table() {
        let amounts = |classes: &[ClassId]| {
            let held = classes.iter().map(|&class| Allocation { row: Row(3), class, amount: 2 });
            Entry::from(Consumer::holding(held.collect()))
        };
        assert!(amounts(&HOST_CLASSES).rest.is_none());
        assert!(amounts(&[ClassId::VCPU, ClassId::DISK_GB]).rest.is_none());
        assert!(amounts(&[ClassId(3)]).rest.is_some());
    }
}
