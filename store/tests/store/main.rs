//! Every store does what the trait promises.

mod in_etcd;
mod suite;

use std::cell::Cell;

use berth_store::{EmbeddedStore, MemoryStore};
use tempfile::TempDir;

#[test]
fn a_memory_store_is_a_store() {
    suite::run(MemoryStore::default, |store| store);
}

#[test]
fn an_embedded_store_is_a_store() {
    let directory = TempDir::new().unwrap();
    let made = Cell::new(0);
    let latest = || directory.path().join(made.get().to_string());
    let new = || {
        made.set(made.get() + 1);
        EmbeddedStore::open(&latest()).unwrap()
    };
    let reopen = |store| {
        drop(store);
        EmbeddedStore::open(&latest()).unwrap()
    };
    suite::run(new, reopen);
}
