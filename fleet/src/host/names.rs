//! The names of resource classes and traits that agents introduce.
//!
//! Names are a finite resource that all providers share. So a name that only agents use exists only
//! while a provider has it, the names that one host introduces are bounded, and agents as a whole
//! leave half of all names to others. A tree that needs more names is applied without the
//! inventories and traits in question.
//!
//! A name belongs to no host: two hosts with the same kind of card share it. A name that somebody
//! else creates, also one that agents have introduced before, is not removed.

use std::collections::BTreeSet;

use berth_placement::{Ledger, Topology, Writer, custom};

use super::{Host, ReportedInventory, ReportedProvider};
use crate::Fleet;
use crate::error::FleetError;

/// The most resource classes that one host may have of those that agents introduced.
const CLASSES_OF_HOST: usize = 64;

/// The most traits that one host may have of those that agents introduced.
const TRAITS_OF_HOST: usize = 256;

/// The reason of a tree that was applied without some inventories or traits.
const TOO_MANY_NAMES: &str = "TOO_MANY_NAMES";

/// The inventories and traits that a message names; more are counted.
const NAMED: usize = 20;

/// A name that agents introduced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum IntroducedName {
    /// Of a resource class.
    Class(String),
    /// Of a trait.
    Trait(String),
}

impl IntroducedName {
    /// Whether the index has the name.
    fn exists(&self, topology: &Topology) -> bool {
        match self {
            Self::Class(name) => topology.class(name).is_some(),
            Self::Trait(name) => topology.find_trait(name).is_some(),
        }
    }

    /// Whether a provider has it.
    fn is_used(&self, topology: &Topology) -> bool {
        let members = match self {
            Self::Class(name) => topology.class(name).and_then(|class| topology.with_class(class)),
            Self::Trait(name) => topology.find_trait(name).and_then(|id| topology.with_trait(id)),
        };
        members.is_some_and(|members| !members.rows().is_empty())
    }

    /// Removes the name from the index; one that a provider has stays.
    fn remove(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Class(name) => {
                writer.topology().class(name).map(|class| writer.remove_class(class));
            }
            Self::Trait(name) => {
                writer.topology().find_trait(name).map(|id| writer.remove_trait(id));
            }
        }
    }
}

/// How many names of one kind a host may still introduce.
struct Share {
    kind: &'static str,
    /// The names of this kind that the host has or gets, of those that agents introduced.
    own: BTreeSet<String>,
    most_own: usize,
    /// The number of all names of this kind, with those that were removed a moment ago.
    all: usize,
    most: usize,
}

impl Share {
    fn has_free(&self) -> bool {
        self.own.len() < self.most_own && self.all < self.most
    }

    fn bound(&self) -> String {
        let Self { kind, most_own, most, .. } = self;
        format!("at most {most_own} {kind} of one host, while there are fewer than {most}")
    }
}

/// The names of both kinds that a host may still introduce.
struct Shares {
    classes: Share,
    traits: Share,
}

impl Shares {
    fn new(writer: &mut Writer<'_>) -> Self {
        let share = |kind, most_own, all, most| Share { kind, own: BTreeSet::new(), most_own, all, most };
        Self {
            classes: share(
                "resource classes",
                CLASSES_OF_HOST,
                writer.class_numbers(),
                Ledger::MAX_CLASSES / 2,
            ),
            traits: share("traits", TRAITS_OF_HOST, writer.trait_numbers(), custom::MAX_TRAITS / 2),
        }
    }

    /// Whether the names of one host may be too many for all agents.
    fn may_be_short(&self) -> bool {
        [&self.classes, &self.traits].into_iter().any(|share| share.all + share.most_own > share.most)
    }

    const fn of(&mut self, name: &IntroducedName) -> &mut Share {
        match name {
            IntroducedName::Class(_) => &mut self.classes,
            IntroducedName::Trait(_) => &mut self.traits,
        }
    }

    /// Counts a name that the host has.
    fn count(&mut self, name: IntroducedName) {
        let share = self.of(&name);
        match name {
            IntroducedName::Class(name) | IntroducedName::Trait(name) => drop(share.own.insert(name)),
        }
    }
}

impl Fleet {
    /// Decides which new names of a tree are introduced, and records them. Removes the inventories
    /// and traits with other new names from the tree; returns an error that names them, for the
    /// agent.
    pub(super) fn introduce_names(
        &mut self,
        writer: &mut Writer<'_>,
        host: &Host,
        tree: &mut [ReportedProvider],
    ) -> Option<FleetError> {
        let mut shares = self.shares(writer, host, tree);
        if shares.may_be_short() && self.has_unused_names(writer.topology()) {
            self.remove_unused_names(writer);
            shares = self.shares(writer, host, tree);
        }
        let mut left_out = Vec::new();
        for (place, provider) in tree.iter_mut().enumerate() {
            let mut admit = |name: IntroducedName, part: &dyn Fn() -> String| {
                let is_admitted = self.introduce(writer.topology(), &mut shares, name);
                if !is_admitted {
                    left_out.push(format!("providers[{place}].{}", part()));
                }
                is_admitted
            };
            provider.inventories.retain(|ReportedInventory { class, .. }| {
                admit(IntroducedName::Class(class.clone()), &|| format!("inventories[{class}]"))
            });
            provider
                .traits
                .retain(|name| admit(IntroducedName::Trait(name.clone()), &|| format!("traits[{name}]")));
        }
        (!left_out.is_empty()).then(|| too_many(&left_out, &shares))
    }

    /// Introduces the name, if it is new; returns whether the host may have it.
    fn introduce(&mut self, topology: &Topology, shares: &mut Shares, name: IntroducedName) -> bool {
        if name.exists(topology) || self.state.introduced.contains(&name) {
            return true;
        }
        let share = shares.of(&name);
        if !share.has_free() {
            return false;
        }
        share.all += 1;
        shares.count(name.clone());
        self.state.put_introduced(name);
        true
    }

    /// What the host has of its shares with this tree and without any new names.
    fn shares(&self, writer: &mut Writer<'_>, host: &Host, tree: &[ReportedProvider]) -> Shares {
        let mut shares = Shares::new(writer);
        let classes = tree.iter().flat_map(|provider| &provider.inventories).map(|known| &known.class);
        let classes = classes.chain(host.providers.iter().flat_map(|known| &known.retired_classes));
        let classes = classes.map(|name| IntroducedName::Class(name.clone()));
        let traits = tree.iter().flat_map(|provider| &provider.traits);
        let traits = traits.map(|name| IntroducedName::Trait(name.clone()));
        let names = classes.chain(traits).chain(self.names_of_retired(writer.topology(), host));
        for name in names.filter(|name| self.state.introduced.contains(name)) {
            shares.count(name);
        }
        shares
    }

    /// The names that providers have which the host's agent reports no longer and which are in use.
    fn names_of_retired(&self, topology: &Topology, host: &Host) -> Vec<IntroducedName> {
        let retired = host.providers.iter().filter(|known| known.is_retired);
        let rows = retired.filter_map(|known| self.index.find(known.uuid));
        let names = rows.flat_map(|row| {
            let classes = self.index.inventories(row).1.into_iter();
            let classes = classes.filter_map(|(class, _)| topology.classes().name(class.0.into()));
            let traits = topology.provider(row).into_iter().flat_map(|provider| provider.traits.iter());
            let traits = traits.filter_map(|id| topology.traits().name(id.0));
            let classes = classes.map(|name| IntroducedName::Class(name.to_owned()));
            classes.chain(traits.map(|name| IntroducedName::Trait(name.to_owned())))
        });
        names.collect()
    }

    /// Whether [`Self::remove_unused_names`] would remove anything.
    #[must_use]
    pub fn has_unused_names(&self, topology: &Topology) -> bool {
        self.state.introduced.iter().any(|name| !name.is_used(topology))
    }

    /// Removes the resource classes and traits that only agents introduced and that no provider has
    /// any longer. The caller holds the writer from before it reads the fleet.
    ///
    /// A name is removed by one call, and its record by the next one with another writer: a crash
    /// in between leaves a record without a name, never a name that nobody removes.
    pub fn remove_unused_names(&mut self, writer: &mut Writer<'_>) {
        let is_unused = |name: &&IntroducedName| !name.is_used(writer.topology());
        let unused: Vec<_> = self.state.introduced.iter().filter(is_unused).cloned().collect();
        for name in unused {
            if name.exists(writer.topology()) {
                name.remove(writer);
            } else {
                self.state.forget_introduced(&name);
            }
        }
    }

    /// Notes that somebody other than an agent creates this name: it stays when no provider has it.
    pub fn keep_name(&mut self, name: &IntroducedName) {
        self.state.forget_introduced(name);
    }
}

fn too_many(left_out: &[String], shares: &Shares) -> FleetError {
    let mut named = left_out.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = left_out.len().checked_sub(NAMED).filter(|more| *more > 0) {
        named.push_str(&format!(", and {more} more"));
    }
    let message = format!(
        "the tree is applied without {named}: agents may introduce {}, and {}",
        shares.classes.bound(),
        shares.traits.bound()
    );
    FleetError::exhausted(TOO_MANY_NAMES, message)
}
