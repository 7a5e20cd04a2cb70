//! The store in memory does what every store has to do.

#![cfg(not(loom))]

mod suite;

use berth_placement::store::MemoryStore;

#[test]
fn a_memory_store_is_a_store() {
    suite::run(MemoryStore::default, |store| store);
}
