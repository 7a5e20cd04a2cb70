//! One more host like another, with nothing on it.

use berth_placement::{Index, Row};
use rustc_hash::FxHashMap;

use super::DISABLED;
use super::facts::Tree;

/// An index of the tree alone, with what is shared with it, and the root in it. Nothing is used.
pub(super) fn empty_copy(tree: &Tree<'_>) -> (Index, Row) {
    let copy = Index::default();
    let mut rows: FxHashMap<Row, Row> = FxHashMap::default();
    // A parent comes before its children, whatever the rows' order.
    let mut waiting = tree.providers();
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|row| !copy_provider(tree, *row, &copy, &mut rows));
        if waiting.len() == before {
            break;
        }
    }
    let root = rows.get(&tree.root).copied().unwrap_or(Row(0));
    (copy, root)
}

/// Copies a provider if its parent has been copied; says whether it is done.
fn copy_provider(tree: &Tree<'_>, row: Row, copy: &Index, rows: &mut FxHashMap<Row, Row>) -> bool {
    let topology = &tree.topology;
    let Some(provider) = topology.provider(row) else { return true };
    let parent = provider.parent.filter(|parent| topology.tree(tree.root).contains(parent));
    let Some(parent) = parent.map_or(Some(None), |parent| rows.get(&parent).copied().map(Some)) else {
        return false;
    };
    let mut writer = copy.write();
    let Ok(added) = writer.add_provider(provider.uuid, &provider.name, parent) else { return true };
    rows.insert(row, added);
    let names = provider.traits.iter().filter_map(|id| topology.traits().name(id.0));
    let names = names.filter(|name| *name != DISABLED);
    let traits: Vec<_> = names.map(|name| writer.trait_named(name)).collect();
    let _ = writer.set_traits(added, &traits);
    let _ = writer.set_aggregates(added, &provider.aggregates);
    for (class, inventory) in tree.index.inventories(row).1 {
        let name = topology.classes().name(u32::from(class.0));
        let class = name.and_then(|name| writer.resource_class(name).ok());
        let _ = class.map(|class| writer.set_inventory(added, class, Some(&inventory)));
    }
    true
}
