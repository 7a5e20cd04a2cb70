//! Two answers to the same request, compared.

use std::collections::BTreeMap;

use serde_json::Value;

use super::record::{Agreement, DifferenceCause, ShadowAnswer};

/// The part of a weight that rounding may change.
const ROUNDING: f64 = 1e-9;

/// Berth's decision, and its alternatives.
#[derive(Debug)]
pub(super) struct OwnView {
    pub(super) answer: ShadowAnswer,
    /// The allocations of each instance, by provider.
    pub(super) allocations: Vec<Option<Value>>,
    /// The hosts that pass all constraints for one instance, with their weights.
    pub(super) weights: BTreeMap<String, f64>,
    /// Among how many of the best hosts chance decides.
    pub(super) subset: usize,
}

/// The reply of nova-scheduler.
#[derive(Debug)]
pub(super) struct OtherView {
    pub(super) answer: ShadowAnswer,
    /// The allocations of each instance, by provider.
    pub(super) allocations: Vec<Option<Value>>,
}

/// Compares the answers. `is_stale` says whether both may have looked at different states.
pub(super) fn compare(
    own: &OwnView,
    other: &OtherView,
    is_stale: bool,
) -> (Agreement, Option<DifferenceCause>) {
    let difference = match (&own.answer, &other.answer) {
        (ShadowAnswer::Hosts(ours), ShadowAnswer::Hosts(theirs)) => {
            if sorted(ours) == sorted(theirs) {
                return if ours != theirs || own.allocations == other.allocations {
                    (Agreement::Same, None)
                } else {
                    (Agreement::Different, Some(stale_or(DifferenceCause::Allocations, is_stale)))
                };
            }
            match own.objection(ours, theirs) {
                None => return (Agreement::Tie, None),
                Some(cause) => cause,
            }
        }
        (ShadowAnswer::Exception { class: ours, .. }, ShadowAnswer::Exception { class: theirs, .. })
            if ours == theirs =>
        {
            return (Agreement::Same, None);
        }
        _ => DifferenceCause::Refusal,
    };
    (Agreement::Different, Some(stale_or(difference, is_stale)))
}

const fn stale_or(cause: DifferenceCause, is_stale: bool) -> DifferenceCause {
    if is_stale { DifferenceCause::StaleData } else { cause }
}

fn sorted(hosts: &[String]) -> Vec<&String> {
    let mut sorted: Vec<&String> = hosts.iter().collect();
    sorted.sort_unstable();
    sorted
}

impl OwnView {
    /// Why Berth would not have chosen these hosts; nothing if chance could have.
    fn objection(&self, ours: &[String], theirs: &[String]) -> Option<DifferenceCause> {
        if theirs.iter().any(|host| !self.weights.contains_key(host)) {
            return Some(DifferenceCause::Filters);
        }
        if self.subset > 1 && theirs.len() > 1 {
            // Every instance is drawn, from hosts that the ones before it have changed.
            return None;
        }
        let is_tie = match theirs {
            [host] => self.weights[host] >= self.least_drawn() - self.rounding(),
            _ => self.are_alike(ours, theirs),
        };
        (!is_tie).then_some(DifferenceCause::Weights)
    }

    /// The weight of the last host among which chance decides.
    fn least_drawn(&self) -> f64 {
        let mut weights: Vec<f64> = self.weights.values().copied().collect();
        weights.sort_unstable_by(|a, b| b.total_cmp(a));
        weights.get(self.subset.clamp(1, weights.len()) - 1).copied().unwrap_or(f64::NEG_INFINITY)
    }

    fn rounding(&self) -> f64 {
        self.weights.values().fold(1.0, |most: f64, weight| most.max(weight.abs())) * ROUNDING
    }

    /// Whether both chose hosts of the same weights, with as many instances on each.
    fn are_alike(&self, ours: &[String], theirs: &[String]) -> bool {
        let profile = |hosts: &[String]| {
            let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
            hosts.iter().for_each(|host| *counts.entry(host).or_default() += 1);
            let weight = |host: &String| self.weights.get(host).copied().unwrap_or(f64::NAN);
            let mut profile: Vec<(f64, usize)> =
                counts.into_iter().map(|(host, count)| (weight(host), count)).collect();
            profile.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
            profile
        };
        let (ours, theirs) = (profile(ours), profile(theirs));
        let rounding = self.rounding();
        ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|(a, b)| (a.0 - b.0).abs() <= rounding && a.1 == b.1)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hosts(names: &[&str]) -> ShadowAnswer {
        ShadowAnswer::Hosts(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn no_host(reason: &str) -> ShadowAnswer {
        ShadowAnswer::Exception { class: "NoValidHost".to_owned(), message: reason.to_owned() }
    }

    /// a and b are the best and alike, then c.
    fn own(answer: ShadowAnswer, subset: usize) -> OwnView {
        let weights = [("a", 2.0), ("b", 2.0), ("c", 1.5)];
        let weights = weights.into_iter().map(|(name, weight)| (name.to_owned(), weight)).collect();
        OwnView { answer, allocations: vec![Some(json!({"a": 1}))], weights, subset }
    }

    fn other(answer: ShadowAnswer) -> OtherView {
        OtherView { answer, allocations: vec![Some(json!({"a": 1}))] }
    }

    fn judged(
        own_hosts: &[&str],
        subset: usize,
        nova: &[&str],
        is_stale: bool,
    ) -> (Agreement, Option<DifferenceCause>) {
        compare(&own(hosts(own_hosts), subset), &other(hosts(nova)), is_stale)
    }

    #[test]
    fn equal_weights_are_a_tie_and_lower_ones_a_difference() {
        use DifferenceCause::{Filters, StaleData, Weights};
        assert_eq!(judged(&["a"], 1, &["a"], false), (Agreement::Same, None));
        assert_eq!(judged(&["a"], 1, &["b"], false), (Agreement::Tie, None));
        assert_eq!(judged(&["a"], 1, &["c"], false), (Agreement::Different, Some(Weights)));
        assert_eq!(judged(&["a"], 1, &["d"], false), (Agreement::Different, Some(Filters)));
        assert_eq!(judged(&["a"], 1, &["c"], true), (Agreement::Different, Some(StaleData)));
        assert_eq!(judged(&["a"], 3, &["c"], false), (Agreement::Tie, None), "one of three is drawn");
    }

    #[test]
    fn several_instances_are_compared_by_the_weights_of_their_hosts() {
        use DifferenceCause::Weights;
        assert_eq!(judged(&["a", "b"], 1, &["b", "a"], false), (Agreement::Same, None));
        assert_eq!(judged(&["a", "a"], 1, &["b", "b"], false), (Agreement::Tie, None));
        assert_eq!(judged(&["a", "b"], 1, &["a", "a"], false), (Agreement::Different, Some(Weights)));
        assert_eq!(judged(&["a", "b"], 1, &["a", "c"], false), (Agreement::Different, Some(Weights)));
        assert_eq!(judged(&["a", "b"], 2, &["a", "c"], false), (Agreement::Tie, None));
    }

    #[test]
    fn refusals_and_allocations_are_compared() {
        let differs = |cause| (Agreement::Different, Some(cause));
        let judged = |ours: ShadowAnswer, theirs: ShadowAnswer| compare(&own(ours, 1), &other(theirs), false);
        assert_eq!(judged(no_host("x"), no_host("y")), (Agreement::Same, None));
        assert_eq!(judged(no_host("x"), hosts(&["a"])), differs(DifferenceCause::Refusal));
        assert_eq!(judged(hosts(&["a"]), no_host("x")), differs(DifferenceCause::Refusal));
        let error = ShadowAnswer::Exception { class: "ValueError".to_owned(), message: String::new() };
        assert_eq!(judged(no_host("x"), error), differs(DifferenceCause::Refusal));
        let allocated = OtherView { answer: hosts(&["a"]), allocations: vec![Some(json!({"a": 2}))] };
        let judged = compare(&own(hosts(&["a"]), 1), &allocated, false);
        assert_eq!(judged, differs(DifferenceCause::Allocations));
    }
}
