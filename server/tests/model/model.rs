//! What the API means, in plain maps.

use std::collections::{BTreeMap, BTreeSet};

use crate::request::{CLASSES, Request, TRAITS, Totals, Wanted};

/// The class and the trait with this name are unknown.
const UNKNOWN: &str = "CUSTOM_NONE";

const CONFLICT: u16 = 409;
const BAD: u16 = 400;
const GONE: u16 = 404;

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    providers: BTreeMap<u8, Provider>,
    consumers: BTreeMap<u8, ConsumerState>,
}

#[derive(Debug, Clone, Default)]
struct Provider {
    name: u8,
    parent: Option<u8>,
    generation: u64,
    totals: BTreeMap<String, i64>,
    traits: BTreeSet<String>,
    aggregates: Vec<u8>,
}

/// Everything that the API shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) providers: BTreeMap<u8, ProviderState>,
    pub(crate) consumers: BTreeMap<u8, ConsumerState>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProviderState {
    pub(crate) name: String,
    pub(crate) generation: u64,
    pub(crate) parent: Option<u8>,
    pub(crate) root: u8,
    pub(crate) totals: BTreeMap<String, i64>,
    pub(crate) used: BTreeMap<String, i64>,
    pub(crate) traits: BTreeSet<String>,
    pub(crate) aggregates: Vec<u8>,
    pub(crate) holders: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerState {
    pub(crate) generation: u64,
    pub(crate) project: String,
    /// Amounts by (provider, class).
    pub(crate) held: BTreeMap<(u8, String), i64>,
}

/// A status that says why nothing was changed.
type Outcome<T = ()> = Result<T, u16>;

impl Model {
    pub(crate) fn generation(&self, provider: u8) -> u64 {
        self.providers.get(&provider).map_or(0, |provider| provider.generation)
    }

    pub(crate) fn consumer_generation(&self, consumer: u8) -> Option<u64> {
        self.consumers.get(&consumer).map(|consumer| consumer.generation)
    }

    /// The status that a request is answered with. What it changes is changed only if all of it can
    /// be.
    pub(crate) fn answer(&mut self, request: &Request) -> u16 {
        let mut after = self.clone();
        match after.try_answer(request) {
            Ok(status) => {
                *self = after;
                status
            }
            Err(status) => status,
        }
    }

    fn try_answer(&mut self, request: &Request) -> Outcome<u16> {
        match request {
            Request::Get(_) => Ok(200),
            &Request::Create { provider, name, parent } => self.create(provider, name, parent).map(|()| 200),
            &Request::Change { provider, name, parent } => self.change(provider, name, parent).map(|()| 200),
            &Request::Delete { provider } => self.delete(provider).map(|()| 204),
            Request::Inventories { provider, generation, totals } => {
                self.known(*provider, Some(*generation))?;
                self.set_totals(*provider, totals, 1).map(|()| 200)
            }
            &Request::RemoveInventory { provider, class } => self.remove_total(provider, class).map(|()| 204),
            Request::Traits { provider, generation, traits } => {
                let found = self.known(*provider, Some(*generation))?;
                let traits: BTreeSet<String> =
                    traits.iter().map(|&number| TRAITS[number].to_owned()).collect();
                if traits.contains(UNKNOWN) {
                    return Err(BAD);
                }
                found.generation += u64::from(found.traits != traits);
                found.traits = traits;
                Ok(200)
            }
            Request::Aggregates { provider, generation, aggregates } => {
                let found = self.known(*provider, Some(*generation))?;
                found.aggregates.clone_from(aggregates);
                found.generation += 1;
                Ok(200)
            }
            Request::Allocate { consumers } => self.allocate(consumers).map(|()| 204),
            &Request::Release { consumer } => {
                let held = self.consumers.remove(&consumer).filter(|consumer| !consumer.held.is_empty());
                held.map(|_| 204).ok_or(GONE)
            }
            Request::Reshape { inventories, consumers } => self.reshape(inventories, consumers).map(|()| 204),
        }
    }

    /// The provider, which has the generation that is given.
    fn known(&mut self, provider: u8, generation: Option<u64>) -> Outcome<&mut Provider> {
        let found = self.providers.get_mut(&provider).ok_or(GONE)?;
        if generation.is_some_and(|given| given != found.generation) {
            return Err(CONFLICT);
        }
        Ok(found)
    }

    fn has_name(&self, name: u8) -> bool {
        self.providers.values().any(|provider| provider.name == name)
    }

    fn create(&mut self, provider: u8, name: u8, parent: Option<u8>) -> Outcome {
        if parent.is_some_and(|parent| parent == provider || !self.providers.contains_key(&parent)) {
            return Err(BAD);
        }
        if self.providers.contains_key(&provider) || self.has_name(name) {
            return Err(CONFLICT);
        }
        self.providers.insert(provider, Provider { name, parent, ..Provider::default() });
        Ok(())
    }

    fn change(&mut self, provider: u8, name: u8, parent: Option<u8>) -> Outcome {
        let old = self.known(provider, None)?.name;
        if parent.is_some_and(|parent| {
            !self.providers.contains_key(&parent) || self.ancestors(parent).contains(&provider)
        }) {
            return Err(BAD);
        }
        if name != old && self.has_name(name) {
            return Err(CONFLICT);
        }
        let found = self.known(provider, None)?;
        (found.name, found.parent) = (name, parent);
        Ok(())
    }

    fn delete(&mut self, provider: u8) -> Outcome {
        self.known(provider, None)?;
        let has_children = self.providers.values().any(|child| child.parent == Some(provider));
        if has_children || !self.holders(provider).is_empty() {
            return Err(CONFLICT);
        }
        self.providers.remove(&provider);
        Ok(())
    }

    /// The provider and those above it, the root last.
    fn ancestors(&self, provider: u8) -> Vec<u8> {
        std::iter::successors(Some(provider), |one| self.providers[one].parent).collect()
    }

    fn holders(&self, provider: u8) -> Vec<u8> {
        let holds = |consumer: &ConsumerState| consumer.held.keys().any(|(of, _)| *of == provider);
        self.consumers.iter().filter(|(_, consumer)| holds(consumer)).map(|(&number, _)| number).collect()
    }

    fn used(&self, provider: u8, class: &str) -> i64 {
        let held = self.consumers.values().flat_map(|consumer| &consumer.held);
        held.filter(|((of, name), _)| *of == provider && name == class).map(|(_, amount)| amount).sum()
    }

    /// Replaces all inventories; consumers may hold more than the new totals, but nothing of
    /// classes that have no inventory any more.
    fn set_totals(&mut self, provider: u8, totals: &[(usize, u32)], steps: u64) -> Outcome {
        let totals: BTreeMap<String, i64> =
            totals.iter().map(|&(class, total)| (CLASSES[class].to_owned(), total.into())).collect();
        if totals.contains_key(UNKNOWN) {
            return Err(BAD);
        }
        if CLASSES.iter().any(|class| !totals.contains_key(*class) && self.used(provider, class) > 0) {
            return Err(CONFLICT);
        }
        let found = self.known(provider, None)?;
        found.totals = totals;
        found.generation += steps;
        Ok(())
    }

    fn remove_total(&mut self, provider: u8, class: usize) -> Outcome {
        let class = CLASSES[class];
        let used = self.used(provider, class);
        let found = self.known(provider, None)?;
        found.totals.remove(class).ok_or(GONE)?;
        found.generation += 1;
        if used > 0 { Err(CONFLICT) } else { Ok(()) }
    }

    fn allocate(&mut self, consumers: &[Wanted]) -> Outcome {
        let before = self.clone();
        self.expect(consumers)?;
        self.look_up(consumers)?;
        let counted = self.replace(consumers);
        for &(provider, class, amount) in consumers.iter().flat_map(|wanted| &wanted.held) {
            let class = CLASSES[class];
            let total = *self.providers[&provider].totals.get(class).ok_or(CONFLICT)?;
            let used = self.used(provider, class);
            let takes_more = used > before.used(provider, class);
            if takes_more && used > total || i64::from(amount) < 1 {
                return Err(CONFLICT);
            }
        }
        self.count(counted);
        Ok(())
    }

    /// Every consumer has the generation that is given.
    fn expect(&self, consumers: &[Wanted]) -> Outcome {
        let is_right = |wanted: &Wanted| self.consumer_generation(wanted.consumer) == wanted.generation;
        if consumers.iter().all(is_right) { Ok(()) } else { Err(CONFLICT) }
    }

    /// Every provider and class is known.
    fn look_up(&self, consumers: &[Wanted]) -> Outcome {
        let mut held = consumers.iter().flat_map(|wanted| &wanted.held);
        let is_known = |(provider, class, _): &(u8, usize, u32)| {
            self.providers.contains_key(provider) && CLASSES[*class] != UNKNOWN
        };
        if held.all(is_known) { Ok(()) } else { Err(BAD) }
    }

    /// Gives the consumers what they are to hold; returns the providers whose generations count it.
    fn replace(&mut self, consumers: &[Wanted]) -> BTreeSet<u8> {
        let mut counted = BTreeSet::new();
        for Wanted { consumer, project, held, .. } in consumers {
            let before = self.consumers.remove(consumer);
            if let Some(before) = before.as_ref().filter(|_| held.is_empty()) {
                counted.extend(before.held.keys().map(|(provider, _)| *provider));
                continue; // forgotten
            }
            counted.extend(held.iter().map(|(provider, ..)| *provider));
            let amounts =
                held.iter().map(|&(p, class, amount)| ((p, CLASSES[class].to_owned()), amount.into()));
            let state = ConsumerState {
                // A consumer that comes without allocations was not written yet.
                generation: before.map_or(0, |before| before.generation) + u64::from(!held.is_empty()),
                project: format!("project{project}"),
                held: amounts.collect(),
            };
            self.consumers.insert(*consumer, state);
        }
        counted
    }

    fn count(&mut self, providers: impl IntoIterator<Item = u8>) {
        for provider in providers {
            if let Some(found) = self.providers.get_mut(&provider) {
                found.generation += 1;
            }
        }
    }

    /// Inventories as they are to be, and consumers as they are to be, at once.
    fn reshape(&mut self, inventories: &[(u8, u64, Totals)], consumers: &[Wanted]) -> Outcome {
        for (provider, generation, _) in inventories {
            let found = self.known(*provider, Some(*generation));
            found.map_err(|status| if status == GONE { BAD } else { status })?;
        }
        self.expect(consumers)?;
        self.look_up(consumers)?;
        let mut classes = inventories.iter().flat_map(|(.., totals)| totals);
        if classes.any(|(class, _)| CLASSES[*class] == UNKNOWN) {
            return Err(BAD);
        }
        let before = self.clone();
        let counted = self.replace(consumers);
        for (provider, _, totals) in inventories {
            // The original writes those that are not empty before the allocations, and again after.
            self.set_totals(*provider, totals, if totals.is_empty() { 1 } else { 2 })?;
        }
        for &(provider, class, _) in consumers.iter().flat_map(|wanted| &wanted.held) {
            let class = CLASSES[class];
            let total = *self.providers[&provider].totals.get(class).ok_or(CONFLICT)?;
            let used = self.used(provider, class);
            if used > total && used > before.used(provider, class) {
                return Err(CONFLICT);
            }
        }
        self.count(counted);
        Ok(())
    }

    pub(crate) fn state(&self) -> State {
        let show = |(&number, provider): (&u8, &Provider)| {
            let used = provider.totals.keys().map(|class| (class.clone(), self.used(number, class)));
            let state = ProviderState {
                name: format!("p{}", provider.name),
                generation: provider.generation,
                parent: provider.parent,
                root: *self.ancestors(number).last().expect("it stands in its own tree"),
                totals: provider.totals.clone(),
                used: used.collect(),
                traits: provider.traits.clone(),
                aggregates: provider.aggregates.clone(),
                holders: self.holders(number),
            };
            (number, state)
        };
        let mut consumers = self.consumers.clone();
        consumers.retain(|_, consumer| !consumer.held.is_empty()); // the others are not shown
        State { providers: self.providers.iter().map(show).collect(), consumers }
    }
}
