//! Rebuilds all derived state and compares it with the stored state.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::groups::GroupId;
use crate::ids::{ClassId, Row};
use crate::index::Index;
use crate::members::Members;
use crate::topology::{Provider, SHARES_VIA_AGGREGATE, Topology};

/// A difference that [`Index::check`] found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistency {
    /// The used amount is not the sum of the consumers' allocations.
    #[error("{row} class {}: used {used}, allocations sum to {allocated}", class.0)]
    Used {
        /// The provider.
        row: Row,
        /// The class.
        class: ClassId,
        /// The ledger's amount.
        used: i64,
        /// The sum of the consumers' allocations.
        allocated: i64,
    },
    /// A provider's root, or its membership in the set of roots, does not match its parents.
    #[error("{0} has a wrong root")]
    Root(Row),
    /// A tree's list of rows does not match the roots of its providers.
    #[error("the tree of {0} has wrong rows")]
    Tree(Row),
    /// A provider's list of classes does not match its inventories in the ledger.
    #[error("{0} has a wrong list of classes")]
    Classes(Row),
    /// A lookup returns another row.
    #[error("{place} return another row than {row}")]
    Membership {
        /// The row.
        row: Row,
        /// The lookup.
        place: String,
    },
    /// A server group's roster does not match its members, or violates its policy.
    #[error("server group {:032x}: {what}", group.0)]
    Group {
        /// The group.
        group: GroupId,
        /// The violation.
        what: String,
    },
    /// The members of traits, aggregates or classes, or the sharing providers, do not match the
    /// providers' lists.
    #[error("the members of {0} do not match the providers")]
    Members(&'static str),
}

impl Index {
    /// Rebuilds all derived state and compares it. Call it only while no writer and no claim runs.
    ///
    /// # Errors
    /// The first difference found.
    pub fn check(&self) -> Result<(), Inconsistency> {
        self.check_used()?;
        self.check_groups()?;
        let topology = self.topology();
        for (row, provider) in topology.providers() {
            check_root(&topology, row, provider)?;
            if self.find(provider.uuid) != Some(row)
                || self.by_name.get(&provider.name).map(|r| *r) != Some(row)
            {
                return Err(Inconsistency::Membership { row, place: "the lookups".to_owned() });
            }
            let classes = (0..topology.classes().len()).filter_map(|class| u16::try_from(class).ok());
            let present = classes.map(ClassId).filter(|&class| self.inventory(row, class).is_some());
            if !present.eq(provider.classes.iter().copied()) {
                return Err(Inconsistency::Classes(row));
            }
        }
        check_trees(&topology)?;
        check_members(&topology)
    }

    fn check_used(&self) -> Result<(), Inconsistency> {
        let topology = self.topology();
        let (rows, classes) = (topology.rows(), topology.classes().len());
        let mut allocated = vec![0_i64; rows * classes];
        self.consumers.for_each(|_, consumer| {
            for allocation in consumer.allocations() {
                allocated[allocation.row.index() * classes + allocation.class.index()] +=
                    i64::from(allocation.amount);
            }
        });
        for (place, &allocated) in allocated.iter().enumerate() {
            let row = Row(u32::try_from(place / classes).expect("bounded by the ledger"));
            let class = ClassId(u16::try_from(place % classes).expect("bounded by the ledger"));
            let used = self.used(row, class);
            if used != allocated {
                return Err(Inconsistency::Used { row, class, used, allocated });
            }
        }
        Ok(())
    }
}

fn check_root(topology: &Topology, row: Row, provider: &Provider) -> Result<(), Inconsistency> {
    let expected = provider.parent.map_or(Some(row), |parent| topology.provider(parent).map(|p| p.root));
    let is_root = topology.roots().contains(row.0);
    if expected != Some(provider.root) || is_root != provider.parent.is_none() {
        return Err(Inconsistency::Root(row));
    }
    Ok(())
}

fn check_trees(topology: &Topology) -> Result<(), Inconsistency> {
    let mut trees: BTreeMap<Row, Vec<Row>> = BTreeMap::new();
    for (row, provider) in topology.providers() {
        trees.entry(provider.root).or_default().push(row);
    }
    let children = trees.values().map(|rows| rows.len() - 1).sum::<usize>();
    if !topology.roots().iter().eq(trees.keys().map(|root| root.0)) || children != topology.children {
        return Err(Inconsistency::Members("the roots"));
    }
    match trees.iter().find(|(root, rows)| topology.tree(**root) != **rows) {
        Some((&root, _)) => Err(Inconsistency::Tree(root)),
        None => Ok(()),
    }
}

fn check_members(topology: &Topology) -> Result<(), Inconsistency> {
    let mut with_class = vec![Members::default(); topology.with_class.len()];
    let mut with_trait = vec![Members::default(); topology.with_trait.len()];
    let mut in_aggregate: BTreeMap<Uuid, Members> = BTreeMap::new();
    let mut sharing: BTreeMap<Uuid, Vec<u32>> = BTreeMap::new();
    let shares = topology.find_trait(SHARES_VIA_AGGREGATE);
    for (row, provider) in topology.providers() {
        provider.classes.iter().for_each(|class| with_class[class.index()].add(row, provider.root));
        provider.traits.iter().for_each(|of| with_trait[of.0 as usize].add(row, provider.root));
        for &aggregate in provider.aggregates.iter() {
            in_aggregate.entry(aggregate).or_default().add(row, provider.root);
            if shares.is_some_and(|shares| provider.traits.contains(&shares)) {
                sharing.entry(aggregate).or_default().push(row.0);
            }
        }
    }
    let kept: BTreeMap<Uuid, Vec<u32>> =
        topology.sharing.iter().map(|(&id, rows)| (id, rows.iter().collect())).collect();
    let sets = [
        ("the classes", with_class == topology.with_class && with_class.len() == topology.classes().len()),
        ("the traits", with_trait == topology.with_trait && with_trait.len() == topology.traits().len()),
        ("the aggregates", in_aggregate == topology.in_aggregate),
        ("the sharing providers", sharing == kept),
    ];
    match sets.iter().find(|(_, equal)| !equal) {
        Some((wrong, _)) => Err(Inconsistency::Members(wrong)),
        None => Ok(()),
    }
}
