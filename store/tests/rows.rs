//! The rows of providers that were removed are given again after a restart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use berth_placement::{ClassId, Index, Inventory, Row};
use berth_store::{Committer, Contents, EmbeddedStore, Encoder, Queue, fill, load};
use tempfile::TempDir;
use uuid::Uuid;

type NoFleet = BTreeMap<Vec<u8>, Vec<u8>>;
type Loaded = berth_store::Loaded<NoFleet>;

struct Running {
    index: Arc<Index>,
    committer: Committer,
}

impl Running {
    fn new(path: &Path) -> Self {
        let store = EmbeddedStore::open(path).unwrap();
        let contents: Contents<NoFleet> = Index::with_holders().into();
        fill(&store, &contents).unwrap();
        Self::over(store)
    }

    fn over(store: EmbeddedStore) -> Self {
        let Loaded { contents, encoder, .. }: Loaded = load(&store).unwrap().unwrap();
        Self::with(store, contents.index, encoder)
    }

    fn with(store: EmbeddedStore, index: Index, encoder: Encoder) -> Self {
        let queue = Arc::new(Queue::default());
        let index = Arc::new(index.recorded_by(Arc::<Queue>::clone(&queue)));
        let committer = Committer::new(Arc::clone(&index), queue, Box::new(store), encoder);
        Self { index, committer }
    }

    fn again(mut self, path: &Path) -> Self {
        self.committer.step().unwrap();
        drop(self);
        let running = Self::over(EmbeddedStore::open(path).unwrap());
        running.index.check().unwrap();
        running
    }

    fn add(&mut self, number: u128) -> Row {
        let row = self.index.write().add_provider(Uuid::from_u128(number), &number.to_string(), None);
        self.committer.step().unwrap();
        row.unwrap()
    }

    fn remove(&mut self, number: u128) {
        let row = self.index.find(Uuid::from_u128(number)).unwrap();
        self.index.write().remove_provider(row).unwrap();
        self.committer.step().unwrap();
    }

    /// Writes inventories, which counts a change.
    fn offer(&mut self, number: u128, total: u32) {
        let row = self.index.find(Uuid::from_u128(number)).unwrap();
        let inventories = vec![(ClassId::VCPU, Inventory::of(total))];
        self.index.write().set_inventories(row, None, inventories).unwrap();
        self.committer.step().unwrap();
    }

    /// Writes the only block of generations again, which removes the deltas before it.
    fn rewrite_generations(&mut self) {
        (1..4).for_each(|total| self.offer(1, total));
    }

    fn generation(&self, number: u128) -> u64 {
        self.index.generation(self.index.find(Uuid::from_u128(number)).unwrap())
    }
}

#[test]
fn rows_are_given_again_after_a_restart_and_not_before() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let mut running = Running::new(&path);
    assert_eq!([1, 2, 3].map(|number| running.add(number)), [Row(0), Row(1), Row(2)]);
    running.remove(2);
    assert_eq!(running.add(4), Row(3), "a claim may know the row");
    running = running.again(&path);
    running.rewrite_generations();
    running = running.again(&path);
    assert_eq!([5, 6].map(|number| running.add(number)), [Row(1), Row(4)]);
    // As a new provider in a new row.
    assert_eq!((running.generation(5), running.generation(6)), (0, 0));
    running.offer(5, 8);
    running.remove(6);
    running = running.again(&path);
    assert_eq!((running.index.find(Uuid::from_u128(5)), running.generation(5)), (Some(Row(1)), 1));
    assert_eq!(running.add(7), Row(4));
}

/// Of several counts that a store has of a row, the largest counts. So a count of the former
/// provider would become one of its successor.
#[test]
fn a_row_is_given_again_when_nothing_is_left_of_the_former_provider() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("store");
    let mut running = Running::new(&path);
    assert_eq!([1, 2].map(|number| running.add(number)), [Row(0), Row(1)]);
    (1..9).for_each(|total| running.offer(2, total));
    running.remove(2);
    running = running.again(&path);
    assert_eq!(running.add(3), Row(2), "the store has the generation of the former provider");
    running.rewrite_generations();
    running = running.again(&path);
    assert_eq!(running.add(4), Row(1));
    running.offer(4, 1);
    running = running.again(&path);
    assert_eq!((running.generation(1), running.generation(4)), (3, 1));
}
