//! Which requests take longer than most, so that they run on threads of their own
//! ([`crate::searches`]).
//!
//! A request thread that works for milliseconds delays all requests behind it. So requests whose
//! work grows with the cloud, and those with long bodies, take turns elsewhere as soon as there is
//! much to do.

use axum::http::Method;
use berth_placement::Index;

use crate::rest::Route;
use crate::uuids;

/// The number of consumers, providers or names from which on a request is lengthy: about a
/// millisecond of work.
const MANY: usize = 500;

/// The length from which on a body is lengthy, in bytes.
const LONG_BODY: usize = 64 << 10;

/// Whether a request of the Placement API is lengthy; `parameter` returns a parameter of its query.
pub(crate) fn is_lengthy<'query>(
    index: &Index,
    (method, route): (&Method, &Route),
    parameter: impl Fn(&'static str) -> Option<&'query str>,
    body: usize,
) -> bool {
    if body >= LONG_BODY {
        return true;
    }
    if method != Method::GET && method != Method::HEAD {
        return false;
    }
    let count = match route {
        Route::Usages => index.project_consumer_count(parameter("project_id").unwrap_or_default()),
        Route::ProviderAllocations(uuid) => {
            uuids::read(uuid).and_then(|uuid| index.find(uuid)).map_or(0, |row| index.holder_count(row))
        }
        Route::Providers if ["name", "uuid"].into_iter().any(|name| parameter(name).is_some()) => 0,
        Route::Providers if let Some(uuid) = parameter("in_tree") => tree_length(index, uuid),
        Route::Providers => count_of_providers(index),
        Route::Classes => index.topology().classes().count() / 4, // short ones
        Route::Traits => index.topology().traits().count() / 4,   // short ones
        _ => 0,
    };
    count >= MANY
}

/// Whether a list of providers, in pages, is lengthy: all of them, or those in the tree of a
/// provider.
pub(crate) fn is_lengthy_list(index: &Index, in_tree: &str) -> bool {
    let count = if in_tree.is_empty() { count_of_providers(index) } else { tree_length(index, in_tree) };
    count >= MANY
}

/// Whether a list of the consumers of a provider, in pages, is lengthy.
pub(crate) fn is_lengthy_list_of(index: &Index, provider: &str) -> bool {
    uuids::read(provider).and_then(|uuid| index.find(uuid)).is_some_and(|row| index.holder_count(row) >= MANY)
}

/// Whether a list of so many instances, in pages, is lengthy.
pub(crate) const fn is_lengthy_list_of_instances(instances: usize) -> bool {
    instances >= MANY
}

/// The number of providers in the tree of a provider.
fn tree_length(index: &Index, uuid: &str) -> usize {
    let topology = index.topology();
    let root = uuids::read(uuid).and_then(|uuid| index.find(uuid)).and_then(|row| topology.provider(row));
    root.map_or(0, |provider| topology.tree(provider.root).len())
}

/// The number of providers, or [`MANY`].
fn count_of_providers(index: &Index) -> usize {
    index.topology().providers().take(MANY).count()
}

#[cfg(test)]
mod tests {
    use berth_placement::{Allocation, ClassId, ConsumerId, Inventory};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_request_is_lengthy_when_there_is_much_to_do() {
        let index = Index::with_holders();
        let mut writer = index.write();
        for number in 1..MANY as u128 {
            writer.add_provider(Uuid::from_u128(number), &number.to_string(), None).unwrap();
        }
        let row = index.find(Uuid::from_u128(1)).unwrap();
        writer.resource_class("VCPU").unwrap();
        writer.set_inventories(row, None, vec![(ClassId(0), Inventory::of(1 << 20))]).unwrap();
        drop(writer);
        let none = |_: &'static str| None;
        let of = |route| is_lengthy(&index, (&Method::GET, &route), none, 0);
        let (one, other) = (Uuid::from_u128(1).to_string(), Uuid::from_u128(2).to_string());
        assert!(!of(Route::Providers) && !is_lengthy_list(&index, ""));
        assert!(!of(Route::ProviderAllocations(one.as_str().into())));
        index.write().add_provider(Uuid::from_u128(1 << 20), "last", None).unwrap();
        for consumer in 0..MANY as u128 {
            index.claim(ConsumerId(consumer), &[Allocation { row, class: ClassId(0), amount: 1 }]).unwrap();
        }
        assert!(of(Route::Providers) && is_lengthy_list(&index, ""));
        // A list of one tree grows with the tree. It was taken for short.
        let in_tree = |name: &'static str| (name == "in_tree").then_some(&*one);
        let of_tree = || is_lengthy(&index, (&Method::GET, &Route::Providers), in_tree, 0);
        assert!(!of_tree() && !is_lengthy_list(&index, &one));
        for number in 0..MANY as u128 {
            let child = Uuid::from_u128(1 << 40 | number);
            index.write().add_provider(child, &child.to_string(), Some(row)).unwrap();
        }
        assert!(of_tree() && is_lengthy_list(&index, &one));
        assert!(of(Route::ProviderAllocations(one.as_str().into())) && is_lengthy_list_of(&index, &one));
        assert!(
            !of(Route::ProviderAllocations(other.as_str().into())) && !is_lengthy_list_of(&index, &other)
        );
        assert!(!of(Route::Provider(one.as_str().into())) && !of(Route::Usages) && !of(Route::Traits));
        let named = |name: &'static str| (name == "name").then_some("1");
        assert!(!is_lengthy(&index, (&Method::GET, &Route::Providers), named, 0));
        assert!(!is_lengthy(&index, (&Method::POST, &Route::Providers), none, LONG_BODY - 1));
        assert!(is_lengthy(&index, (&Method::POST, &Route::Providers), none, LONG_BODY));
    }
}
