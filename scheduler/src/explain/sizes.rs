//! The amounts that a change may come down to.
//!
//! Placement's unit rules differ from host to host. Among hosts that have the same least and step,
//! whatever amount finds a host lets every smaller one find it, too, as far as the rules allow it:
//! so there is one that is closest to what was asked. (A largest unit is one more bound from
//! above.)

use super::change::Change;
use super::placement::{Demands, PlacementFacts};
use crate::filters::Scene;
use crate::hosts::HostRow;

/// The resource class of which a change asks for less, unit by unit.
#[derive(Debug)]
pub(super) struct Moving {
    class: String,
    /// How much more is asked of the class than the change says: swap counts as disk, for one.
    more: i64,
}

impl Moving {
    /// The class that this change moves, if Placement is asked for any.
    pub(super) fn of(
        change: &Change,
        all: &[Change],
        scene: &Scene<'_>,
        facts: &PlacementFacts,
    ) -> Option<Self> {
        let (asked, _) = change.amounts()?;
        let amounts = |amount: i64| {
            let (mut request, mut options) = (scene.request.clone(), scene.options.clone());
            all.iter().for_each(|other| other.apply(&mut request, &mut options));
            change.with_amount(amount).apply(&mut request, &mut options);
            let scene = Scene { request: &request, options: &options, ..*scene };
            Demands::of(&scene, facts).ok().map(|demands| demands.amounts())
        };
        let (before, after) = (amounts(asked)?, amounts(asked.checked_sub(1)?)?);
        let moved = before
            .into_iter()
            .find(|(class, before)| before.checked_sub(after.get(class).copied().unwrap_or(0)) == Some(1));
        let (class, amount) = moved?;
        Some(Self { class, more: i64::try_from(amount).ok()?.checked_sub(asked)? })
    }

    /// The rules for one allocation on a host, besides the largest unit.
    pub(super) fn rule(&self, row: HostRow, facts: &PlacementFacts) -> Rule {
        let units = facts.units(row, &self.class);
        let (min_unit, step_size) = units.map_or((1, 1), |units| (units.min_unit, units.step_size));
        Rule { more: self.more, min_unit: min_unit.into(), step_size: step_size.into() }
    }
}

/// Which amounts of a change one allocation may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    more: i64,
    min_unit: i64,
    step_size: i64,
}

impl Rule {
    /// Any amount.
    pub(super) const ANY: Self = Self { more: 0, min_unit: 1, step_size: 1 };
}

/// Amounts from the one that is farthest from what was asked to the one that is closest.
#[derive(Debug)]
pub(super) struct Sizes {
    farthest: i64,
    second: i64,
    step: i64,
    count: i64,
}

impl Sizes {
    /// The amounts that a change may have under a rule; none if what was asked is the farthest that
    /// is allowed.
    pub(super) fn of(change: &Change, rule: Rule) -> Option<Self> {
        let (asked, farthest) = change.amounts()?;
        if farthest > asked {
            let (second, count) = (farthest - 1, farthest.saturating_sub(asked));
            return Some(Self { farthest, second, step: -1, count });
        }
        let step = rule.step_size.max(1);
        let least = rule.min_unit.max(1).max(farthest.saturating_add(rule.more));
        let first = least.saturating_add(step - 1) / step * step - rule.more;
        // Where nothing is left to ask for, no rule applies.
        let nothing = -rule.more;
        let (farthest, second) =
            if nothing >= farthest { (nothing, first) } else { (first, first.saturating_add(step)) };
        let count = 1 + (asked.saturating_sub(second).saturating_add(step - 1) / step).max(0);
        (farthest < asked).then_some(Self { farthest, second, step, count })
    }

    /// How many there are.
    pub(super) const fn count(&self) -> i64 {
        self.count
    }

    /// The amount in this place; the farthest is in place 0.
    pub(super) const fn at(&self, place: i64) -> i64 {
        if place == 0 { self.farthest } else { self.second + self.step * (place - 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(asked: i64, least: i64, (more, min_unit, step_size): (i64, i64, i64)) -> Vec<i64> {
        let rule = Rule { more, min_unit, step_size };
        let sizes = Sizes::of(&Change::Disk { asked, enough: least }, rule);
        sizes.map_or_else(Vec::new, |sizes| (0..sizes.count()).map(|place| sizes.at(place)).collect())
    }

    #[test]
    fn without_rules_every_amount_is_a_size() {
        assert_eq!(sizes(4, 1, (0, 1, 1)), [1, 2, 3]);
        assert_eq!(sizes(2, 0, (0, 1, 1)), [0, 1]);
    }

    #[test]
    fn rules_leave_their_multiples() {
        assert_eq!(sizes(12, 1, (0, 3, 4)), [4, 8]);
        assert_eq!(sizes(13, 0, (0, 5, 4)), [0, 8, 12]);
        assert!(sizes(4, 1, (0, 1, 4)).is_empty());
    }

    #[test]
    fn what_is_asked_besides_counts() {
        assert_eq!(sizes(9, 0, (1, 1, 4)), [3, 7]);
        assert_eq!(sizes(9, 1, (-2, 1, 4)), [2, 6]);
    }

    #[test]
    fn limits_come_down_from_the_highest() {
        let sizes = Sizes::of(&Change::IoOpsPerHost { configured: 8, enough: 11 }, Rule::ANY).expect("some");
        assert_eq!((0..sizes.count()).map(|place| sizes.at(place)).collect::<Vec<_>>(), [11, 10, 9]);
    }
}
