//! The owners of consumers that are gone are forgotten, in memory and in the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use berth_placement::{
    Allocation, ClassId, ConsumerId, ConsumerWrite, ExpectedGeneration, Index, Inventory, Owner, Timestamp,
};
use berth_store::{Committer, Contents, EmbeddedStore, Encoder, Queue, Store, fill, load};
use tempfile::TempDir;
use uuid::Uuid;

type NoFleet = BTreeMap<Vec<u8>, Vec<u8>>;
type Loaded = berth_store::Loaded<NoFleet>;

struct Running {
    index: Arc<Index>,
    committer: Committer,
}

impl Running {
    fn over(store: EmbeddedStore, index: Index, encoder: Encoder) -> Self {
        let queue = Arc::new(Queue::default());
        let index = Arc::new(index.recorded_by(Arc::<Queue>::clone(&queue)));
        let committer = Committer::new(Arc::clone(&index), queue, Box::new(store), encoder);
        Self { index, committer }
    }

    fn again(self, path: &std::path::Path) -> Self {
        drop(self);
        let store = EmbeddedStore::open(path).unwrap();
        let Loaded { contents, encoder, .. } = load::<NoFleet>(&store).unwrap().unwrap();
        Self::over(store, contents.index, encoder)
    }

    fn claim(&self, number: u32, user: u32) {
        let row = self.index.find(Uuid::from_u128(1)).unwrap();
        let write = ConsumerWrite {
            consumer: ConsumerId(number.into()),
            generation: ExpectedGeneration::New,
            owner: owner(user),
            allocations: [Allocation { row, class: ClassId::VCPU, amount: 1 }].into_iter().collect(),
        };
        self.index.transfer(&[write], Timestamp(1)).unwrap();
    }

    fn shared(&self, user: u32) -> Weak<Owner> {
        Arc::downgrade(&self.index.share(&owner(user)))
    }
}

fn owner(user: u32) -> Arc<Owner> {
    Arc::new(Owner { project: "p".into(), user: user.to_string().into(), consumer_type: None })
}

/// The numbers of the owners that the store has.
fn numbers(path: &std::path::Path) -> Vec<u32> {
    let store = EmbeddedStore::open(path).unwrap();
    let mut numbers = Vec::new();
    let visit = &mut |entry: berth_store::StoreEntry<'_>| {
        if let [b'i', number @ ..] = entry.key {
            numbers.push(u32::from_be_bytes(number.try_into().unwrap()));
        }
        Ok(())
    };
    store.load(visit).unwrap();
    numbers
}

#[test]
fn owners_of_released_claims_are_forgotten() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let index = Index::with_holders();
    let row = index.write().add_provider(Uuid::from_u128(1), "host", None).unwrap();
    index.write().set_inventories(row, None, vec![(ClassId::VCPU, Inventory::of(100_000))]).unwrap();
    let contents: Contents<NoFleet> = index.into();
    let store = EmbeddedStore::open(&path).unwrap();
    fill(&store, &contents).unwrap();
    let Loaded { contents, encoder, .. } = load::<NoFleet>(&store).unwrap().unwrap();
    let mut running = Running::over(store, contents.index, encoder);
    // Two consumers of each owner.
    (0..200).for_each(|number| running.claim(number, number / 2));
    running.committer.step().unwrap();
    let (kept, forgotten) = (running.shared(0), running.shared(9));
    (1..200).for_each(|number| drop(running.index.release(ConsumerId(number)).unwrap()));
    running.committer.step().unwrap();
    assert!(kept.upgrade().is_some() && forgotten.upgrade().is_none());
    running = running.again(&path);
    // Numbers are used again, also after a restart.
    (200..210).for_each(|number| running.claim(number, number));
    running.committer.step().unwrap();
    running.index.release(ConsumerId(0)).unwrap();
    running.claim(300, 0);
    running.committer.step().unwrap();
    drop(running);
    let numbers_in_use = numbers(&path);
    assert_eq!(numbers_in_use.len(), 11);
    assert!(numbers_in_use.iter().all(|&number| number < 100), "{numbers_in_use:?}");
    let store = EmbeddedStore::open(&path).unwrap();
    let loaded = load::<NoFleet>(&store).unwrap().unwrap();
    assert_eq!(loaded.contents.index.consumers(), 11);
}

/// Stores of earlier releases kept them all.
#[test]
fn owners_that_an_earlier_release_kept_are_removed() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let store = EmbeddedStore::open(&path).unwrap();
    let contents: Contents<NoFleet> = Index::with_holders().into();
    fill(&store, &contents).unwrap();
    // The protobuf of an owner with project "p" and user "u".
    let record =
        |number: u32| ([b"i", &number.to_be_bytes()[..]].concat(), Some(b"\x0a\x01p\x12\x01u".to_vec()));
    store.commit([record(3)].into()).unwrap();
    let Loaded { contents, encoder, .. } = load::<NoFleet>(&store).unwrap().unwrap();
    let mut running = Running::over(store, contents.index, encoder);
    running.index.write().add_provider(Uuid::from_u128(1), "host", None).unwrap();
    running.committer.step().unwrap();
    drop(running);
    assert!(numbers(&path).is_empty());
}
