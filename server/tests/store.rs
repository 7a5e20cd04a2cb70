//! The store on disk does what every store has to do.

#[path = "../../placement/tests/store/suite.rs"]
mod suite;

use std::cell::Cell;

use berth_server::store::EmbeddedStore;
use tempfile::TempDir;

#[test]
fn an_embedded_store_is_a_store() {
    let folder = TempDir::new().unwrap();
    let made = Cell::new(0);
    let latest = || folder.path().join(made.get().to_string());
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
