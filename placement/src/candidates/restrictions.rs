//! Conditions that at least one of several variables has to meet. A condition is split into
//! mutually exclusive cases. Each case fixes the first variable that meets the condition, so its
//! remaining constraints are plain domains.

use smallvec::SmallVec;

use super::bits::Bits;
use super::query::WorkExceeded;
use super::work::Work;

/// The providers that each variable may choose.
pub(super) type Domains = SmallVec<[Bits; 3]>;

/// A condition on several variables.
#[derive(Debug)]
pub(super) enum Condition {
    /// One of the variables chooses one of these providers.
    Cover { variables: Vec<usize>, providers: Bits },
    /// One of the variables chooses an ancestor of all others' providers, or the same provider.
    /// `below` has, for each provider, its descendants and itself.
    Subtree { variables: Vec<usize>, below: Vec<Bits> },
}

impl Condition {
    fn cases(&self) -> usize {
        match self {
            Self::Cover { variables, .. } => variables.len(),
            Self::Subtree { variables, below } => variables.len() * below.len(),
        }
    }

    /// The domains in a case; `None` when a variable has no provider left.
    fn restrict(&self, domains: &Domains, case: usize) -> Option<Domains> {
        let mut domains = domains.clone();
        let variables = match self {
            Self::Cover { variables, providers } => {
                variables[..case].iter().for_each(|&earlier| domains[earlier].drop_all(providers));
                domains[variables[case]].keep(providers);
                variables
            }
            Self::Subtree { variables, below } => {
                let (top, first) = (case / variables.len(), case % variables.len());
                variables.iter().for_each(|&variable| domains[variable].keep(&below[top]));
                variables[..first].iter().for_each(|&earlier| domains[earlier].remove(top));
                let only_top = Bits::only(below.len(), top);
                domains[variables[first]].keep(&only_top);
                variables
            }
        };
        variables.iter().all(|&variable| !domains[variable].is_empty()).then_some(domains)
    }

    /// Whether every choice from these domains meets the condition.
    fn is_met(&self, domains: &Domains) -> bool {
        match self {
            Self::Cover { variables, providers } => {
                variables.iter().any(|&variable| domains[variable].is_subset(providers))
            }
            Self::Subtree { .. } => false,
        }
    }
}

/// The combined cases of several conditions.
#[derive(Debug)]
pub(super) struct Restrictions {
    conditions: Vec<Condition>,
    /// For each condition entered, the domains before it and its next case.
    entered: Vec<(Domains, usize)>,
}

impl Restrictions {
    /// Returns `None` when every choice meets the conditions.
    pub(super) fn new(domains: &Domains, mut conditions: Vec<Condition>) -> Option<Self> {
        conditions.retain(|condition| !condition.is_met(domains));
        if conditions.is_empty() {
            return None;
        }
        Some(Self { conditions, entered: vec![(domains.clone(), 0)] })
    }

    /// Returns the domains of the next case. Every choice from them meets all conditions.
    pub(super) fn next(&mut self, work: &mut Work) -> Result<Option<Domains>, WorkExceeded> {
        loop {
            let depth = self.entered.len();
            let Some((domains, next)) = self.entered.last_mut() else { return Ok(None) };
            let Some(condition) = self.conditions.get(depth - 1) else {
                return Ok(self.entered.pop().map(|(domains, _)| domains));
            };
            let case = *next;
            if case == condition.cases() {
                self.entered.pop();
                continue;
            }
            *next += 1;
            work.spend()?;
            if let Some(restricted) = condition.restrict(domains, case) {
                self.entered.push((restricted, 0));
            }
        }
    }
}
