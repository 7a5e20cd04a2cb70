//! A request group after name lookup, and the providers that satisfy it.

use smallvec::SmallVec;
use uuid::Uuid;

use crate::ids::{ClassId, Row, TraitId};
use crate::topology::Provider;

/// Amounts by class.
pub(super) type Amounts = SmallVec<[(ClassId, u32); 3]>;

/// A request group whose names have been looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) granular: bool,
    pub(super) resources: Amounts,
    /// Lists of traits; the provider has at least one trait of each list.
    pub(super) required: Vec<Vec<TraitId>>,
    pub(super) forbidden: Vec<TraitId>,
    pub(super) member_of: Vec<Vec<Uuid>>,
    pub(super) not_member_of: Vec<Uuid>,
    /// The root of the tree that the resources come from.
    pub(super) in_tree: Option<Row>,
}

impl Need {
    /// Whether `provider` may serve the group in the tree below `root`, or a part of it when the
    /// group is not granular. Ignores amounts.
    #[inline]
    pub(super) fn suits(&self, provider: &Provider, root: &Provider) -> bool {
        let allowed = !has_any(&provider.traits, &self.forbidden);
        allowed && if self.granular { self.suits_alone(provider) } else { self.suits_partly(provider, root) }
    }

    fn suits_alone(&self, provider: &Provider) -> bool {
        let in_tree = self.resources.is_empty() || self.in_tree.is_none_or(|root| root == provider.root);
        // A group without resources must select its provider by other properties.
        let says_something =
            !(self.resources.is_empty() && self.required.is_empty() && self.member_of.is_empty());
        in_tree
            && says_something
            && self.required.iter().all(|any| has_any(&provider.traits, any))
            && self.is_member(provider)
            && !has_any(&provider.aggregates, &self.not_member_of)
    }

    /// An aggregate of the root spans the whole tree. A sharing provider has to be in the aggregate
    /// itself.
    fn suits_partly(&self, provider: &Provider, root: &Provider) -> bool {
        let own = provider.root == root.root;
        let member = self.is_member(provider) || own && self.is_member(root);
        let outside = |provider: &Provider| !has_any(&provider.aggregates, &self.not_member_of);
        member
            && outside(provider)
            && outside(root)
            && self.in_tree.is_none_or(|wanted| own && wanted == root.root)
    }

    fn is_member(&self, provider: &Provider) -> bool {
        self.member_of.iter().all(|any| has_any(&provider.aggregates, any))
    }
}

/// Whether the ordered list contains any of the given values.
#[inline]
pub(super) fn has_any<T: Ord>(ordered: &[T], wanted: &[T]) -> bool {
    wanted.iter().any(|one| ordered.binary_search(one).is_ok())
}
