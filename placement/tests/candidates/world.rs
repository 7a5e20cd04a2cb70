//! A small fleet and a query as plain data, shared by the naive search and the recordings.

use std::collections::{BTreeMap, BTreeSet};

use berth_placement::candidates::{Candidate, Candidates, Query, QueryGroup, RequestGroupPolicy};
use berth_placement::{Allocation, ConsumerId, Index, Inventory, Row, Units};
use serde::Deserialize;
use uuid::Uuid;

/// total, reserved, min_unit, max_unit, step_size, allocation ratio, used
pub(crate) type Stock = (u32, u32, u32, u32, u32, f64, u32);

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Provider {
    /// The index of the parent, which precedes it.
    pub(crate) parent: Option<usize>,
    pub(crate) inventories: BTreeMap<String, Stock>,
    pub(crate) traits: BTreeSet<String>,
    /// Numbers of aggregates.
    pub(crate) aggregates: BTreeSet<u8>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct World {
    pub(crate) classes: Vec<String>,
    pub(crate) traits: Vec<String>,
    pub(crate) providers: Vec<Provider>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AskedGroup {
    pub(crate) suffix: String,
    pub(crate) resources: Vec<(String, u64)>,
    pub(crate) required: Vec<Vec<String>>,
    pub(crate) forbidden: Vec<String>,
    pub(crate) member_of: Vec<Vec<u8>>,
    pub(crate) not_member_of: Vec<u8>,
    /// The index of a provider; an index beyond the last names an unknown provider.
    pub(crate) in_tree: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    pub(crate) groups: Vec<AskedGroup>,
    pub(crate) isolate: bool,
    pub(crate) same_subtrees: Vec<Vec<String>>,
    pub(crate) root_required: Vec<String>,
    pub(crate) root_forbidden: Vec<String>,
    pub(crate) limit: Option<usize>,
    /// The minor microversion.
    pub(crate) version: u32,
}

/// A candidate: amounts by (provider, class), and providers by suffix.
pub(crate) type Answer = (BTreeMap<(usize, String), u64>, BTreeMap<String, BTreeSet<usize>>);

impl World {
    pub(crate) fn root(&self, provider: usize) -> usize {
        self.providers[provider].parent.map_or(provider, |parent| self.root(parent))
    }

    /// Builds the same fleet as an index, in which provider `n` has row `n`.
    pub(crate) fn index(&self) -> Index {
        let index = Index::default();
        let mut writer = index.write();
        for class in &self.classes {
            writer.resource_class(class).unwrap();
        }
        let traits: BTreeMap<&str, _> =
            self.traits.iter().map(|name| (name.as_str(), writer.trait_named(name))).collect();
        let mut held = Vec::new();
        for (number, provider) in self.providers.iter().enumerate() {
            let parent = provider.parent.map(row);
            let row = writer.add_provider(uuid(number), &format!("provider {number}"), parent).unwrap();
            let ids: Vec<_> = provider.traits.iter().map(|name| traits[name.as_str()]).collect();
            writer.set_traits(row, &ids).unwrap();
            let aggregates: Vec<Uuid> = provider.aggregates.iter().map(|&id| aggregate(id)).collect();
            writer.set_aggregates(row, &aggregates).unwrap();
            for (name, &(total, reserved, min_unit, max_unit, step_size, allocation_ratio, used)) in
                &provider.inventories
            {
                let class = writer.resource_class(name).unwrap();
                let units = Units { min_unit, max_unit, step_size };
                let inventory = Inventory { total, reserved, units, allocation_ratio };
                // Large while consumers are added; later it may be below what they hold.
                writer.set_inventory(row, class, Some(&Inventory::of(1_000_000))).unwrap();
                held.push((row, class, inventory, used));
            }
        }
        drop(writer);
        for (number, &(row, class, _, amount)) in (0..).zip(&held).filter(|(_, held)| held.3 > 0) {
            index.claim(ConsumerId(number), &[Allocation { row, class, amount }]).unwrap();
        }
        let mut writer = index.write();
        for (row, class, inventory, _) in held {
            writer.set_inventory(row, class, Some(&inventory)).unwrap();
        }
        drop(writer);
        index
    }
}

impl Asked {
    pub(crate) fn query(&self) -> Query {
        let names = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect::<Vec<_>>();
        let group = |asked: &AskedGroup| QueryGroup {
            suffix: asked.suffix.as_str().into(),
            resources: asked.resources.iter().map(|(name, amount)| (name.as_str().into(), *amount)).collect(),
            required: asked.required.iter().map(|any| names(any)).collect(),
            forbidden: names(&asked.forbidden),
            member_of: asked
                .member_of
                .iter()
                .map(|any| any.iter().map(|&id| aggregate(id)).collect())
                .collect(),
            not_member_of: asked.not_member_of.iter().map(|&id| aggregate(id)).collect(),
            in_tree: asked.in_tree.map(uuid),
        };
        Query {
            groups: self.groups.iter().map(group).collect(),
            group_policy: if self.isolate { RequestGroupPolicy::Isolate } else { RequestGroupPolicy::None },
            same_subtrees: self.same_subtrees.iter().map(|suffixes| names(suffixes)).collect(),
            root_required: names(&self.root_required),
            root_forbidden: names(&self.root_forbidden),
            limit: self.limit,
            nested: self.version >= 29,
            all_resources: self.version >= 27,
        }
    }

    /// Translates a candidate of the index.
    pub(crate) fn answer(&self, candidates: &Candidates<'_>, candidate: &Candidate) -> Answer {
        let class = |id: u16| candidates.topology().classes().name(id.into()).unwrap().to_owned();
        let taken = candidate.allocations.iter();
        let allocations = taken.map(|a| ((a.row.index(), class(a.class.0)), a.amount.into()));
        let mapping = |(number, group): (usize, &AskedGroup)| {
            (group.suffix.clone(), candidate.providers(number).map(Row::index).collect())
        };
        (allocations.collect(), self.groups.iter().enumerate().map(mapping).collect())
    }
}

pub(crate) fn row(number: usize) -> Row {
    Row(u32::try_from(number).unwrap())
}

pub(crate) fn uuid(number: usize) -> Uuid {
    Uuid::from_u128(1 << 64 | number as u128)
}

pub(crate) fn aggregate(number: u8) -> Uuid {
    Uuid::from_u128(1 << 80 | u128::from(number))
}
