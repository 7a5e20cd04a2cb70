//! Conditions that one of several variables has to meet, whichever. They are taken apart into cases that exclude each
//! other: in each case it is said which variable meets the condition first, and what remains are domains.

use smallvec::SmallVec;

use super::bits::Bits;
use super::query::WorkExceeded;
use super::work::Work;

/// For each variable, the providers it may choose.
pub(super) type Domains = SmallVec<[Bits; 3]>;

/// A condition on several variables.
#[derive(Debug)]
pub(super) enum Condition {
    /// One of them chooses one of these providers.
    Cover { variables: Vec<usize>, providers: Bits },
    /// One of them chooses a provider that all others' providers stand below, or are. `below` has, for each provider,
    /// those below it, and itself.
    Subtree { variables: Vec<usize>, below: Vec<Bits> },
}

impl Condition {
    fn cases(&self) -> usize {
        match self {
            Self::Cover { variables, .. } => variables.len(),
            Self::Subtree { variables, below } => variables.len() * below.len(),
        }
    }

    /// The domains in a case; `None` when a variable has nothing left.
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

    /// Whether it is met whatever is chosen.
    fn is_met(&self, domains: &Domains) -> bool {
        match self {
            Self::Cover { variables, providers } => {
                variables.iter().any(|&variable| domains[variable].is_subset(providers))
            }
            Self::Subtree { .. } => false,
        }
    }
}

/// All cases of several conditions together.
#[derive(Debug)]
pub(super) struct Restrictions {
    conditions: Vec<Condition>,
    /// For each condition that has been entered, the domains before it and its next case.
    entered: Vec<(Domains, usize)>,
}

impl Restrictions {
    /// `None` when the conditions are met whatever is chosen.
    pub(super) fn new(domains: &Domains, mut conditions: Vec<Condition>) -> Option<Self> {
        conditions.retain(|condition| !condition.is_met(domains));
        if conditions.is_empty() {
            return None;
        }
        Some(Self { conditions, entered: vec![(domains.clone(), 0)] })
    }

    /// The next case: domains that meet all conditions, whatever is chosen from them.
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
