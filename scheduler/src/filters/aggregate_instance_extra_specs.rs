//! AggregateInstanceExtraSpecsFilter

use super::{Filter, FilterError, PASS, Reason, RequestState, Scene, Scope, Verdict, matches};
use crate::aggregates::AggregateMetadata;
use crate::hosts::HostRow;

/// Passes hosts whose aggregates have, for each extra spec, a value that meets it. It looks at
/// extra specs with the prefix `aggregate_instance_extra_specs:` and at those without any.
pub(super) struct AggregateInstanceExtraSpecsFilter<'a> {
    scene: &'a Scene<'a>,
    /// Key in the aggregates, and requirement.
    wanted: Vec<(&'a str, &'a str)>,
}

impl<'a> AggregateInstanceExtraSpecsFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let aggregate_key = |key: &'a str| match key.split_once(':') {
            None => Some(key),
            Some(("aggregate_instance_extra_specs", key)) => Some(key),
            Some(_) => None,
        };
        let specs = scene.request.flavor.extra_specs.iter();
        Self {
            scene,
            wanted: specs.filter_map(|(key, wanted)| Some((aggregate_key(key)?, wanted))).collect(),
        }
    }
}

impl Filter for AggregateInstanceExtraSpecsFilter<'_> {
    fn scope(&self) -> Scope {
        if self.wanted.is_empty() { Scope::Everything } else { Scope::Class }
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        let aggregates = &self.scene.hosts.class(row).aggregates;
        for (key, wanted) in &self.wanted {
            if let Err(reason) = meets(aggregates, key, wanted)? {
                return Ok(Err(reason));
            }
        }
        PASS
    }
}

/// One value that meets the requirement is enough, even among others that make no sense for it.
fn meets(aggregates: &AggregateMetadata, key: &str, wanted: &str) -> Verdict {
    let Some(values) = aggregates.parts(key) else {
        return Ok(Err(Reason::NotInAggregates { key: key.to_owned() }));
    };
    let answers: Vec<_> = values.iter().map(|value| matches(value, wanted)).collect();
    if answers.contains(&Ok(true)) {
        return PASS;
    }
    if let Some(error) = answers.into_iter().find_map(Result::err) {
        return Err(FilterError::ExtraSpec { key: key.to_owned(), error });
    }
    let found = values.iter().cloned().collect::<Vec<_>>().join(", ");
    Ok(Err(Reason::OtherAggregateValue { key: key.to_owned(), asked: wanted.to_owned(), found }))
}
