//! What is asked for, in the words of the API.

use uuid::Uuid;

/// A query for allocation candidates, as it was parsed; names and UUIDs are looked up by
/// [`Index::candidates`](crate::Index::candidates).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The request groups, in the order in which they appear in the request.
    pub groups: Vec<Group>,
    /// Whether suffixed groups may share a provider.
    pub group_policy: GroupPolicy,
    /// Sets of suffixes: one provider of each set is an ancestor of all others of that set, or the only one.
    pub same_subtrees: Vec<Vec<Box<str>>>,
    /// Traits that the root of every candidate's tree has.
    pub root_required: Vec<Box<str>>,
    /// Traits that the root of every candidate's tree has not.
    pub root_forbidden: Vec<Box<str>>,
    /// How many candidates are wanted at most.
    pub limit: Option<usize>,
    /// Whether the client knows provider trees (microversion 1.29): if not, no candidate takes from two providers of one
    /// tree, and summaries name only providers that candidates take from.
    pub nested: bool,
    /// Whether summaries tell of all inventories (microversion 1.27) or only of the classes that were asked for.
    pub all_resources: bool,
}

/// A request group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Its suffix. The group without one may be served by several providers of a tree and by those that share with it; any
    /// other is served by one provider.
    pub suffix: Box<str>,
    /// Amounts by resource class, each class once. A suffixed group may have none: it then only names a provider.
    pub resources: Vec<(Box<str>, u64)>,
    /// Traits: of each list, one is required.
    pub required: Vec<Vec<Box<str>>>,
    /// Traits no provider may have.
    pub forbidden: Vec<Box<str>>,
    /// Aggregates: of each list, the provider is in one.
    pub member_of: Vec<Vec<Uuid>>,
    /// Aggregates that the provider is not in.
    pub not_member_of: Vec<Uuid>,
    /// A provider of the tree that the resources come from.
    pub in_tree: Option<Uuid>,
}

impl Group {
    /// Whether one provider serves all of it.
    #[must_use]
    pub fn is_granular(&self) -> bool {
        !self.suffix.is_empty()
    }
}

/// How suffixed groups share providers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum GroupPolicy {
    /// They may.
    #[default]
    None,
    /// Each has a provider of its own.
    Isolate,
}

/// The operator's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// In which order trees are visited.
    pub strategy: Strategy,
    /// How many candidates are made at most, before [`Query::limit`] applies; `None` for all of them.
    pub max_candidates: Option<usize>,
    /// How much is tried at most for one query; see [`WorkExceeded`].
    pub work: u64,
    /// Trees, and providers within them, in a pseudo-random order that this number determines; `None` for order of row.
    pub seed: Option<u64>,
}

impl Options {
    /// The usual bound: about a second's work.
    pub const WORK: u64 = 20_000_000;
}

impl Default for Options {
    fn default() -> Self {
        Self { strategy: Strategy::BreadthFirst, max_candidates: None, work: Self::WORK, seed: None }
    }
}

/// In which order trees are visited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Strategy {
    /// One candidate of each tree in turn.
    #[default]
    BreadthFirst,
    /// All candidates of a tree before those of the next.
    DepthFirst,
}

/// A name in a query that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownName {
    /// No such resource class.
    #[error("there is no resource class {0}")]
    Class(Box<str>),
    /// No such trait.
    #[error("there is no trait {0}")]
    Trait(Box<str>),
}

/// The query asks for more than may be tried. Candidates that came before are right, but not all there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} steps are needed to find the allocation candidates; a smaller limit needs fewer")]
pub struct WorkExceeded {
    /// [`Options::work`]: trees looked at and providers tried.
    pub limit: u64,
}
