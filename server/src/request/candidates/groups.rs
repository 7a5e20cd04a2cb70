//! The request groups of an allocation candidate query, and what applies to all of them.

use berth_placement::candidates::{Query, QueryGroup, RequestGroupPolicy};
use uuid::Uuid;

use crate::error::{Code, Failure};
use crate::json::patterns;
use crate::microversion::Microversion;
use crate::query::{Query as Parameters, bad};
use crate::request::filters;
use crate::uuids;

/// From this microversion on, groups may be tied to a subtree, and then may come without resources.
const SAME_SUBTREE: u16 = 36;

/// Reads a query whose form has been checked, of at most so many groups.
pub(super) fn read(parameters: &Parameters, version: Microversion, most: usize) -> Result<Query, Failure> {
    let mut query = Query {
        limit: limit(parameters),
        group_policy: parameters
            .all("group_policy")
            .next()
            .and_then(RequestGroupPolicy::parse)
            .unwrap_or_default(),
        nested: version.at_least(29),
        all_resources: version.at_least(27),
        ..Query::default()
    };
    (query.root_required, query.root_forbidden) = root_traits(parameters)?;
    query.same_subtrees = parameters.all("same_subtree").map(suffixes).collect::<Result<_, _>>()?;
    query.groups = groups(parameters, version, most)?;
    if version.at_least(SAME_SUBTREE) {
        check_subtrees(&query)?;
    } else {
        check_orphans(&query.groups)?;
    }
    if version.at_least(22) {
        check_conflicts(&query.groups)?;
    }
    let has_policy = parameters.all("group_policy").next().is_some();
    if !has_policy && query.groups.iter().filter(|group| group.is_granular()).count() > 1 {
        return Err(Failure::bad_request(
            "The \"group_policy\" parameter is required when specifying more than one \"resources{N}\" parameter.",
        ));
    }
    Ok(query)
}

fn limit(parameters: &Parameters) -> Option<usize> {
    let first = parameters.all("limit").next()?;
    Some(first.parse().unwrap_or(usize::MAX)) // digits only: more than there can be
}

type Names = Vec<Box<str>>;

/// Traits that roots have and have not.
fn root_traits(parameters: &Parameters) -> Result<(Names, Names), Failure> {
    if parameters.all("root_required").count() > 1 {
        let reason = "Query parameter 'root_required' may be specified only once.";
        return Err(Failure::bad_request(reason).code(Code::DuplicateParameter));
    }
    // It may forbid, but not choose: that is what 1.38 says of `required`.
    let filter = filters::traits(parameters, "root_required", Microversion(38))?;
    let required: Names = filter.required.into_iter().flatten().collect();
    let conflicts: Vec<&str> =
        required.iter().filter(|name| filter.forbidden.contains(name)).map(|name| &**name).collect();
    if !conflicts.is_empty() {
        let reason = format!(
            "Conflicting required and forbidden traits found in root_required: {}",
            conflicts.join(", ")
        );
        return Err(Failure::bad_request(reason).code(Code::BadValue));
    }
    Ok((required, filter.forbidden))
}

fn suffixes(value: &str) -> Result<Names, Failure> {
    let mut suffixes: Names = value.split(',').map(|suffix| suffix.trim().into()).collect();
    suffixes.sort_unstable();
    suffixes.dedup();
    if suffixes.first().is_some_and(|first| first.is_empty()) {
        let reason = "Empty string (unsuffixed group) can not be specified in `same_subtree` ";
        return Err(Failure::bad_request(reason).code(Code::BadValue));
    }
    Ok(suffixes)
}

/// The groups in the order in which their first parameters come.
fn groups(parameters: &Parameters, version: Microversion, most: usize) -> Result<Vec<QueryGroup>, Failure> {
    let mut groups: Vec<QueryGroup> = Vec::new();
    for (key, value) in parameters.iter() {
        let Some((what, suffix)) = split(key, version) else { continue };
        let place = groups.iter().position(|group| *group.suffix == *suffix).unwrap_or_else(|| {
            groups.push(QueryGroup { suffix: suffix.into(), ..QueryGroup::default() });
            groups.len() - 1
        });
        if place == most {
            return Err(Failure::bad_request(format!("A query may have at most {most} request groups.")));
        }
        let group = &mut groups[place];
        match what {
            What::Resources => group.resources = filters::resources(value)?,
            // All of a group's values are read with the first.
            What::Required if group.required.is_empty() && group.forbidden.is_empty() => {
                let filter = filters::traits(parameters, key, version)?;
                (group.required, group.forbidden) = (filter.required, filter.forbidden);
            }
            What::MemberOf if group.member_of.is_empty() && group.not_member_of.is_empty() => {
                let filter = filters::aggregates(parameters, suffix, version)?;
                (group.member_of, group.not_member_of) = (filter.required, filter.forbidden);
            }
            What::Required | What::MemberOf => {}
            What::InTree => group.in_tree = Some(tree(value)?),
        }
    }
    Ok(groups)
}

#[derive(Clone, Copy)]
enum What {
    Resources,
    Required,
    MemberOf,
    InTree,
}

/// A parameter of a group: what it says, and of which group.
fn split(key: &str, version: Microversion) -> Option<(What, &str)> {
    const ALL: [(&str, What); 4] = [
        ("resources", What::Resources),
        ("required", What::Required),
        ("member_of", What::MemberOf),
        ("in_tree", What::InTree),
    ];
    let is_suffix = if version.at_least(33) { patterns::is_name_suffix } else { patterns::is_number_suffix };
    ALL.into_iter()
        .find_map(|(name, what)| Some((what, key.strip_prefix(name).filter(|suffix| is_suffix(suffix))?)))
}

fn tree(value: &str) -> Result<Uuid, Failure> {
    let refused = || bad(&format!("Expected 'in_tree' parameter to be a format of uuid. Got: {value}"));
    uuids::read(value.trim()).ok_or_else(refused)
}

fn check_subtrees(query: &Query) -> Result<(), Failure> {
    let groups = &query.groups;
    let refused = |reason: String| Err(Failure::bad_request(reason).code(Code::BadValue));
    if groups.iter().all(|group| group.resources.is_empty()) {
        let reason = "There must be at least one resources or resources[$S] parameter.";
        return Err(Failure::bad_request(reason).code(Code::MissingValue));
    }
    let tied = || query.same_subtrees.iter().flatten();
    let loose = groups.iter().filter(|group| group.resources.is_empty());
    let loose = quoted(loose.map(|group| &group.suffix).filter(|suffix| !tied().any(|tied| tied == *suffix)));
    if !loose.is_empty() {
        return refused(format!(
            "Resourceless suffixed group request should be specified in `same_subtree` query param: \
             bad group(s) - [{loose}]."
        ));
    }
    let missing = quoted(tied().filter(|suffix| !groups.iter().any(|group| group.suffix == **suffix)));
    if !missing.is_empty() {
        let known = quoted(groups.iter().map(|group| &group.suffix));
        return refused(format!(
            "Real suffixes should be specified in `same_subtree`: [{missing}] not found in [{known}]."
        ));
    }
    Ok(())
}

fn quoted<'a>(names: impl Iterator<Item = &'a Box<str>>) -> String {
    names.map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
}

/// Groups have resources: traits and aggregates alone ask for nothing.
fn check_orphans(groups: &[QueryGroup]) -> Result<(), Failure> {
    let empty = || groups.iter().filter(|group| group.resources.is_empty());
    let keys = |what: &str, has: fn(&QueryGroup) -> bool| {
        empty()
            .filter(|group| has(group))
            .map(|group| format!("{what}{}", group.suffix))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let traits = keys("required", |group| !group.required.is_empty());
    if !traits.is_empty() {
        return Err(Failure::bad_request(format!(
            "All traits parameters must be associated with resources.  \
             Found the following orphaned traits keys: {traits}"
        )));
    }
    let aggregates =
        keys("member_of", |group| !group.member_of.is_empty() || !group.not_member_of.is_empty());
    if !aggregates.is_empty() {
        return Err(Failure::bad_request(format!(
            "All member_of parameters must be associated with resources. \
             Found the following orphaned member_of keys: {aggregates}"
        )));
    }
    if empty().next().is_some() {
        return Err(Failure::bad_request("All request groups must specify resources."));
    }
    if groups.is_empty() {
        return Err(Failure::bad_request(
            "At least one request group (`resources` or `resources{$S}`) is required.",
        ));
    }
    Ok(())
}

/// No group requires what it forbids.
fn check_conflicts(groups: &[QueryGroup]) -> Result<(), Failure> {
    let of_group = |group: &QueryGroup| {
        let impossible =
            group.required.iter().filter(|choice| choice.iter().all(|name| group.forbidden.contains(name)));
        let suffix = group.suffix.clone();
        impossible.map(move |choice| format!("required{suffix}: ({})", choice.join(", "))).collect::<Vec<_>>()
    };
    let mut conflicts: Vec<String> = groups.iter().flat_map(of_group).collect();
    if conflicts.is_empty() {
        return Ok(());
    }
    conflicts.sort_unstable();
    Err(Failure::bad_request(format!(
        "Conflicting required and forbidden traits found in the following traits keys: {}",
        conflicts.join(", ")
    )))
}
