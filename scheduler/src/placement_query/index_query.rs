//! A request as a query of the index, under the rules by which Placement accepts it.

use berth_placement::Topology;
use berth_placement::candidates;

use super::build::is_suffix;
use super::resource_request::{RequestGroup, ResourceRequest};
use super::standard;

/// A request that Placement would refuse to read (400).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedQuery {
    /// A group without resources.
    #[error("resources{0}: the group asks for no resources")]
    NoResources(String),
    /// A suffix with other characters than letters, digits, `_` and `-`, or too many of them.
    #[error("resources{0}: a suffix has up to 64 letters, digits, _ and -")]
    Suffix(String),
    /// Several suffixed groups, and nothing says whether they may share a provider.
    #[error("group_policy: there are {0} suffixed groups, so it has to be none or isolate")]
    NoGroupPolicy(usize),
    /// A subtree of groups that do not exist.
    #[error("same_subtree: there is no group {0}")]
    NoSuchGroup(String),
}

impl ResourceRequest {
    /// The query of the index, for which no text is made. Standard traits that the index does not
    /// know are on no provider: they exclude no provider.
    ///
    /// # Errors
    /// The error with which Placement would refuse the query.
    pub fn to_index_query(&self, topology: &Topology) -> Result<candidates::Query, MalformedQuery> {
        let suffixed = self.asked_groups().filter(|(suffix, _)| !suffix.is_empty()).count();
        if suffixed > 1 && self.group_policy.is_none() {
            return Err(MalformedQuery::NoGroupPolicy(suffixed));
        }
        let group = |(suffix, group): (&str, &RequestGroup)| group.to_index_group(suffix, topology);
        let unknown = self.same_subtree.iter().flatten().find(|suffix| !self.suffixed.contains_key(*suffix));
        if let Some(suffix) = unknown {
            return Err(MalformedQuery::NoSuchGroup(suffix.clone()));
        }
        Ok(candidates::Query {
            groups: self.asked_groups().map(group).collect::<Result<_, _>>()?,
            group_policy: self.group_policy.unwrap_or_default(),
            same_subtrees: self.same_subtree.iter().map(boxed).collect(),
            root_required: boxed(&self.root_required),
            root_forbidden: forbidden(&self.root_forbidden, topology),
            limit: self.limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            nested: true,
            all_resources: true,
        })
    }
}

impl RequestGroup {
    fn to_index_group(
        &self,
        suffix: &str,
        topology: &Topology,
    ) -> Result<candidates::QueryGroup, MalformedQuery> {
        if !is_suffix(suffix) {
            return Err(MalformedQuery::Suffix(suffix.to_owned()));
        }
        if self.resources.is_empty() {
            return Err(MalformedQuery::NoResources(suffix.to_owned()));
        }
        Ok(candidates::QueryGroup {
            suffix: suffix.into(),
            resources: self
                .resources
                .iter()
                .map(|(class, amount)| (class.as_str().into(), *amount))
                .collect(),
            required: self.required_traits.iter().map(|name| vec![name.as_str().into()]).collect(),
            forbidden: forbidden(&self.forbidden_traits, topology),
            member_of: self.member_of.iter().map(|set| set.iter().copied().collect()).collect(),
            not_member_of: self.forbidden_aggregates.iter().copied().collect(),
            in_tree: self.in_tree,
        })
    }
}

fn boxed<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<Box<str>> {
    names.into_iter().map(|name| name.as_str().into()).collect()
}

fn forbidden<'a>(names: impl IntoIterator<Item = &'a String>, topology: &Topology) -> Vec<Box<str>> {
    let is_on_none = |name: &str| standard::is_trait(name) && topology.find_trait(name).is_none();
    boxed(names.into_iter().filter(|name| !is_on_none(name)))
}
