//! A query for allocation candidates, in the terms of the API.

use uuid::Uuid;

use super::work::Stop;

/// A parsed query for allocation candidates. [`Index::candidates`](crate::Index::candidates) looks
/// up its names and UUIDs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The request groups, in the order in which they appear in the request.
    pub groups: Vec<QueryGroup>,
    /// Whether suffixed groups may share a provider.
    pub group_policy: RequestGroupPolicy,
    /// Sets of suffixes: one provider of each set is an ancestor of all others of that set, or the
    /// only one.
    pub same_subtrees: Vec<Vec<Box<str>>>,
    /// Traits that the root of every candidate's tree must have.
    pub root_required: Vec<Box<str>>,
    /// Traits that the root of every candidate's tree must not have.
    pub root_forbidden: Vec<Box<str>>,
    /// The largest number of candidates to return.
    pub limit: Option<usize>,
    /// Whether the client supports provider trees (microversion 1.29). If not, a candidate takes
    /// from only one provider per tree, and summaries contain only providers that candidates take
    /// from.
    pub nested: bool,
    /// Whether summaries contain all inventories (microversion 1.27) or only the requested classes.
    pub all_resources: bool,
}

/// A request group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryGroup {
    /// Its suffix. Several providers of a tree, and those that share with it, may serve the group
    /// without suffix; one provider serves any other group.
    pub suffix: Box<str>,
    /// Amounts by resource class, each class once. A suffixed group without resources only selects
    /// a provider.
    pub resources: Vec<(Box<str>, u64)>,
    /// Traits: the provider has at least one of each list.
    pub required: Vec<Vec<Box<str>>>,
    /// Traits that no provider may have.
    pub forbidden: Vec<Box<str>>,
    /// Aggregates: the provider is in at least one of each list.
    pub member_of: Vec<Vec<Uuid>>,
    /// Aggregates that the provider is not in.
    pub not_member_of: Vec<Uuid>,
    /// A provider of the tree that the resources come from.
    pub in_tree: Option<Uuid>,
}

impl QueryGroup {
    /// Whether one provider serves the whole group.
    #[must_use]
    pub fn is_granular(&self) -> bool {
        !self.suffix.is_empty()
    }
}

/// Whether suffixed groups may share providers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RequestGroupPolicy {
    /// Suffixed groups may share a provider.
    #[default]
    None,
    /// Each suffixed group has a provider of its own.
    Isolate,
}

impl RequestGroupPolicy {
    /// The value of `group_policy` in queries and flavors.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Isolate => "isolate",
        }
    }

    /// The policy of a value of `group_policy`.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        [Self::None, Self::Isolate].into_iter().find(|policy| policy.as_str() == value)
    }
}

/// The operator's settings.
#[derive(Debug, Clone)]
pub struct SearchOptions {
    /// The order in which trees are visited.
    pub strategy: Strategy,
    /// The largest number of candidates to generate, before [`Query::limit`] applies; `None` for no
    /// limit.
    pub max_candidates: Option<usize>,
    /// The largest number of search steps for one query; see [`WorkExceeded`].
    pub work: u64,
    /// Seed of a pseudo-random order of trees, and of providers within them; `None` for row order.
    pub seed: Option<u64>,
    /// Stops the search from outside, for instance when it exceeds its time limit or the client is
    /// gone.
    pub stop: Option<Stop>,
}

impl SearchOptions {
    /// The default limit: about one second of work.
    pub const WORK: u64 = 20_000_000;
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            strategy: Strategy::BreadthFirst,
            max_candidates: None,
            work: Self::WORK,
            seed: None,
            stop: None,
        }
    }
}

/// The order in which trees are visited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Takes one candidate of each tree in turn.
    #[default]
    BreadthFirst,
    /// Takes all candidates of a tree before those of the next.
    DepthFirst,
}

/// An unknown name in a query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownName {
    /// The resource class is unknown.
    #[error("there is no resource class {0}")]
    Class(Box<str>),
    /// The trait is unknown.
    #[error("there is no trait {0}")]
    Trait(Box<str>),
}

/// The search exceeded its work limit. The candidates returned before are correct but not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} steps are needed to find the allocation candidates; a smaller limit needs fewer")]
pub struct WorkExceeded {
    /// [`SearchOptions::work`]: the number of trees examined and providers tried.
    pub limit: u64,
}
