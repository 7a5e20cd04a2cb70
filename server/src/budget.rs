//! Amounts that callers may use at once: bytes in flight, streams. Each has a bound for one caller
//! and one for all.
//!
//! One caller cannot use up what the others need, as long as there are not too many of them; and
//! all of them together cannot use more than the process can afford.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An amount that callers share.
#[derive(Debug)]
pub(crate) struct Budget {
    /// At most so much for all, and for one caller.
    all: usize,
    each: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    in_all: usize,
    /// Callers that use something.
    by_caller: BTreeMap<Arc<str>, usize>,
}

/// The bound that would be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// The bound of one caller.
    Caller,
    /// The bound of all callers.
    All,
}

/// A part of the budget, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    budget: Arc<Budget>,
    caller: Arc<str>,
    amount: usize,
}

impl Budget {
    /// A budget of `all` for all callers, and of `each` for one.
    pub(crate) fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self { all, each: each.min(all), used: Mutex::default() })
    }

    /// A part of the budget for the caller.
    pub(crate) fn lease(self: &Arc<Self>, caller: &str, amount: usize) -> Result<Lease, Exceeded> {
        let mut lease = Lease { budget: Arc::clone(self), caller: caller.into(), amount: 0 };
        lease.grow(amount)?;
        Ok(lease)
    }

    /// The bound that is exceeded, as messages name it.
    pub(crate) const fn bound(&self, exceeded: Exceeded) -> usize {
        match exceeded {
            Exceeded::Caller => self.each,
            Exceeded::All => self.all,
        }
    }

    /// How much is in use.
    pub(crate) fn in_use(&self) -> usize {
        self.lock().in_all
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// How much of the budget it is.
    pub(crate) const fn amount(&self) -> usize {
        self.amount
    }

    /// Takes more of the budget; all of it or nothing.
    pub(crate) fn grow(&mut self, amount: usize) -> Result<(), Exceeded> {
        let Budget { all, each, .. } = *self.budget;
        let mut used = self.budget.lock();
        let own = used.by_caller.get(&self.caller).copied().unwrap_or(0);
        if amount > each.saturating_sub(own) {
            return Err(Exceeded::Caller);
        }
        if amount > all.saturating_sub(used.in_all) {
            return Err(Exceeded::All);
        }
        if amount > 0 {
            used.in_all += amount;
            used.by_caller.insert(Arc::clone(&self.caller), own + amount);
            self.amount += amount;
        }
        Ok(())
    }

    /// Returns everything to the budget.
    pub(crate) fn clear(&mut self) {
        let mut used = self.budget.lock();
        used.in_all -= self.amount;
        if let Entry::Occupied(mut own) = used.by_caller.entry(Arc::clone(&self.caller)) {
            *own.get_mut() -= self.amount;
            if *own.get() == 0 {
                own.remove();
            }
        }
        self.amount = 0;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_leaves_something_to_the_others() {
        let budget = Budget::new(100, 60);
        let mut own = budget.lease("a", 50).unwrap();
        assert_eq!(own.grow(11), Err(Exceeded::Caller));
        own.grow(10).unwrap();
        assert_eq!(budget.lease("a", 1).unwrap_err(), Exceeded::Caller);
        let other = budget.lease("b", 40).unwrap();
        assert_eq!(budget.lease("c", 1).unwrap_err(), Exceeded::All);
        assert_eq!((budget.bound(Exceeded::Caller), budget.bound(Exceeded::All)), (60, 100));
        own.clear();
        own.grow(60).unwrap();
        drop((own, other));
        assert_eq!(budget.in_use(), 0);
        assert!(budget.lock().by_caller.is_empty(), "a caller that uses nothing is forgotten");
        drop(budget.lease("c", 60).unwrap());
    }
}
