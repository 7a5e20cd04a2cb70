//! The query to Placement for one instance: resources, traits and aggregates, in groups.

use std::collections::{BTreeMap, BTreeSet};

use berth_placement::candidates::RequestGroupPolicy;
use uuid::Uuid;

use super::{standard, words};
use crate::request_spec;

/// A request for allocation candidates.
///
/// The resources of the unsuffixed group may come from any provider of a host's tree, those of a
/// suffixed group come from one provider.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResourceRequest {
    /// The group that names the host itself: traits, aggregates and the tree.
    pub unsuffixed: RequestGroup,
    /// The other groups by suffix: numbered ones of the flavor, and those of ports and devices.
    pub suffixed: BTreeMap<String, RequestGroup>,
    /// Whether suffixed groups may share a provider; `None` is allowed with at most one of them.
    pub group_policy: Option<RequestGroupPolicy>,
    /// Traits that the root of the tree must have.
    pub root_required: BTreeSet<String>,
    /// Traits that the root of the tree must not have.
    pub root_forbidden: BTreeSet<String>,
    /// Sets of suffixes whose providers must lie below one common ancestor among them.
    pub same_subtree: Vec<Vec<String>>,
    /// The largest number of candidates to return; `None` for all.
    pub limit: Option<u64>,
    /// Whether dedicated CPUs were translated to `PCPU`.
    pub cpu_pinning_requested: bool,
}

/// Resources and conditions on their providers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestGroup {
    /// Amounts by resource class.
    pub resources: BTreeMap<String, u64>,
    /// Traits a provider must have.
    pub required_traits: BTreeSet<String>,
    /// Traits a provider must not have.
    pub forbidden_traits: BTreeSet<String>,
    /// Sets of aggregates: a provider is in at least one of each set.
    pub member_of: Vec<BTreeSet<Uuid>>,
    /// Aggregates a provider must not be in.
    pub forbidden_aggregates: BTreeSet<Uuid>,
    /// The tree, named by any of its providers, that the resources come from.
    pub in_tree: Option<Uuid>,
}

impl ResourceRequest {
    /// Every group with its suffix, the unsuffixed one first.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &RequestGroup)> {
        let suffixed = self.suffixed.iter().map(|(suffix, group)| (suffix.as_str(), group));
        std::iter::once(("", &self.unsuffixed)).chain(suffixed)
    }

    /// The groups that a query names: those of which something is asked.
    pub(super) fn asked_groups(&self) -> impl Iterator<Item = (&str, &RequestGroup)> {
        self.groups().filter(|(_, group)| !group.is_empty() || group.in_tree.is_some())
    }

    /// The group of a suffix, new if need be; the empty suffix is the unsuffixed group.
    pub(super) fn group(&mut self, suffix: &str) -> &mut RequestGroup {
        match suffix {
            "" => &mut self.unsuffixed,
            _ => self.suffixed.entry(suffix.to_owned()).or_default(),
        }
    }

    /// How much of a class all groups ask for, if any names it.
    #[must_use]
    pub fn total(&self, class: &str) -> Option<u64> {
        self.groups().filter_map(|(_, group)| group.resources.get(class)).copied().reduce(u64::saturating_add)
    }

    /// The traits that some group requires of a provider.
    pub fn required_traits(&self) -> impl Iterator<Item = &str> {
        self.groups().flat_map(|(_, group)| group.required_traits.iter().map(String::as_str))
    }

    /// Drops amounts of zero, then groups that ask for nothing.
    pub(super) fn strip_zeros(&mut self) {
        self.unsuffixed.strip_zeros();
        self.suffixed.values_mut().for_each(RequestGroup::strip_zeros);
        self.suffixed.retain(|_, group| !group.is_empty());
    }
}

impl RequestGroup {
    /// The group of a port or device.
    pub(super) fn of(asked: &request_spec::RequesterGroup) -> Self {
        let resources = asked.resources.iter().map(|(class, number)| (class.clone(), words::amount(*number)));
        Self {
            resources: resources.collect(),
            required_traits: asked.required_traits.clone(),
            forbidden_traits: asked.forbidden_traits.clone(),
            member_of: asked.aggregates.clone(),
            forbidden_aggregates: asked.forbidden_aggregates.clone(),
            in_tree: asked.in_tree,
        }
    }

    /// Whether it names neither resources nor conditions. A tree alone is no request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
            && self.required_traits.is_empty()
            && self.forbidden_traits.is_empty()
            && self.member_of.is_empty()
            && self.forbidden_aggregates.is_empty()
    }

    pub(super) fn strip_zeros(&mut self) {
        self.resources.retain(|_, amount| *amount > 0);
    }

    /// Takes an amount from an extra spec. As Nova, passes over unknown classes and what is no
    /// amount.
    pub(super) fn set_resource(&mut self, class: &str, amount: &str) {
        if let Some(amount) = words::whole_number(amount).filter(|_| standard::is_resource_class(class)) {
            self.resources.insert(class.to_owned(), amount);
        }
    }

    pub(super) fn ask(&mut self, class: &str, amount: u64) {
        self.resources.insert(class.to_owned(), amount);
    }

    pub(super) fn require(&mut self, name: &str) {
        self.required_traits.insert(name.to_owned());
    }

    /// Takes `required` or `forbidden` from an extra spec. As Nova, passes over any other word.
    pub(super) fn set_trait(&mut self, name: &str, word: &str) {
        match word {
            "required" => self.required_traits.insert(name.to_owned()),
            "forbidden" => self.forbidden_traits.insert(name.to_owned()),
            _ => false,
        };
    }
}
