//! The query parameters that select providers, for `/resource_providers` and
//! `/allocation_candidates`.

use uuid::Uuid;

use crate::error::Failure;
use crate::microversion::Microversion;
use crate::query::{Query, bad};
use crate::uuids;

/// Required and forbidden traits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TraitFilter {
    /// Lists of traits; one trait of each list is required.
    pub(crate) required: Vec<Vec<Box<str>>>,
    pub(crate) forbidden: Vec<Box<str>>,
}

/// Required and forbidden aggregates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AggregateFilter {
    /// Lists of aggregates; one aggregate of each list is required.
    pub(crate) required: Vec<Vec<Uuid>>,
    pub(crate) forbidden: Vec<Uuid>,
}

/// Parses `VCPU:2,MEMORY_MB:1024` into amounts by class. If a class is repeated, the last amount
/// applies.
pub(crate) fn resources(text: &str) -> Result<Vec<(Box<str>, u64)>, Failure> {
    let form = |got: &str| {
        Failure::bad_request(format!(
            "Badly formed resources parameter. Expected resources query string parameter in form: \
             ?resources=VCPU:2,MEMORY_MB:1024. Got: {got}."
        ))
    };
    if text.trim().is_empty() {
        return Err(form("empty string"));
    }
    let mut resources: Vec<(Box<str>, u64)> = Vec::new();
    for part in text.split(',') {
        let (class, amount) =
            part.split_once(':').filter(|(_, rest)| !rest.contains(':')).ok_or_else(|| form(part))?;
        let amount = self::amount(class, amount)?;
        match resources.iter_mut().find(|(known, _)| **known == *class) {
            Some((_, known)) => *known = amount,
            None => resources.push((class.into(), amount)),
        }
    }
    Ok(resources)
}

fn amount(class: &str, text: &str) -> Result<u64, Failure> {
    let digits = text.trim();
    let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let reason = format!("Requested resource {class} expected positive integer amount. Got: {text}.");
        return Err(Failure::bad_request(reason));
    }
    let amount = digits.parse().unwrap_or(u64::MAX); // out of range in any case
    if amount < 1 || text.trim().starts_with('-') {
        let reason = format!("Requested resource {class} requires amount >= 1. Got: {}.", text.trim());
        return Err(Failure::bad_request(reason));
    }
    Ok(amount)
}

/// Parses the trait parameter `name`.
pub(crate) fn traits(query: &Query, name: &str, version: Microversion) -> Result<TraitFilter, Failure> {
    let (may_forbid, may_choose) = (version.at_least(22), version.at_least(39));
    let values: Vec<&str> = query.all(name).collect();
    // Before repeated parameters were allowed, the last one applied.
    let values = if may_choose { &values[..] } else { &values[values.len().saturating_sub(1)..] };
    let mut filter = TraitFilter::default();
    for value in values {
        add_traits(&mut filter, value, may_forbid, may_choose)?;
    }
    Ok(filter)
}

fn add_traits(
    filter: &mut TraitFilter,
    value: &str,
    may_forbid: bool,
    may_choose: bool,
) -> Result<(), Failure> {
    if let Some(choices) = value.strip_prefix("in:") {
        filter.required.push(choice(choices, value, may_choose)?);
        return Ok(());
    }
    let form = if may_forbid { "HW_CPU_X86_VMX,!CUSTOM_MAGIC" } else { "HW_CPU_X86_VMX,CUSTOM_MAGIC" };
    let expected = format!("Expected 'required' parameter value of the form: {form}.");
    for name in value.split(',').map(str::trim) {
        let bare = name.trim_start_matches('!');
        if bare.is_empty() {
            return Err(bad(&format!("{expected} Got an empty trait in: {value}")));
        }
        if bare.len() == name.len() {
            filter.required.push(vec![name.into()]);
        } else if may_forbid {
            filter.forbidden.push(bare.into());
        } else {
            return Err(bad(&format!("{expected} Got: {value}")));
        }
    }
    Ok(())
}

/// Parses `in:A,B`: any one of the traits.
fn choice(choices: &str, value: &str, may_choose: bool) -> Result<Vec<Box<str>>, Failure> {
    if !may_choose {
        return Err(bad(&format!(
            "The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' only supported since microversion 1.39. Got: {value}"
        )));
    }
    let mut names: Vec<Box<str>> = choices.split(',').map(|name| name.trim().into()).collect();
    if names.iter().any(|name| name.is_empty()) {
        return Err(bad(&format!(
            "Expected 'required' parameter value of the form: in:HW_CPU_X86_VMX,CUSTOM_MAGIC. \
             Got an empty trait in: {value}"
        )));
    }
    if names.iter().any(|name| name.starts_with('!')) {
        return Err(bad(&format!(
            "The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' does not support forbidden traits. Got: {value}"
        )));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Parses the aggregate parameter with this suffix.
pub(crate) fn aggregates(
    query: &Query,
    suffix: &str,
    version: Microversion,
) -> Result<AggregateFilter, Failure> {
    let name = format!("member_of{suffix}");
    if !version.at_least(24) && query.all(&name).count() > 1 {
        return Err(Failure::bad_request(format!("Multiple {name} parameters are not supported")));
    }
    let mut filter = AggregateFilter::default();
    for value in query.all(&name) {
        let (is_forbidden, aggregates) = aggregate(value)?;
        if !is_forbidden {
            filter.required.push(aggregates);
        } else if version.at_least(32) {
            filter.forbidden.extend(aggregates);
        } else {
            return Err(Failure::bad_request(format!(
                "Forbidden {name} parameters are not supported in the specified microversion"
            )));
        }
    }
    Ok(filter)
}

/// Parses `UUID`, `in:UUID,UUID`, `!UUID` or `!in:UUID,UUID`.
fn aggregate(value: &str) -> Result<(bool, Vec<Uuid>), Failure> {
    let (is_forbidden, rest) = value.strip_prefix('!').map_or((false, value), |rest| (true, rest));
    let list = rest.strip_prefix("in:");
    if list.is_none() && value.contains(',') {
        return Err(Failure::bad_request(format!(
            "Multiple values for 'member_of' must be prefixed with the 'in:' or '!in:' keyword using the valid \
             microversion. Got: {value}"
        )));
    }
    let uuids = list.unwrap_or(rest).split(',').map(|text| {
        uuids::read(text).ok_or_else(|| {
            bad(&format!("Expected 'member_of' parameter to contain valid UUID(s). Got: {text}"))
        })
    });
    Ok((is_forbidden, uuids.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn query(text: &str) -> Query {
        Query::parse(text, &Limits::default()).unwrap()
    }

    #[test]
    fn amounts_are_whole_and_positive() {
        assert_eq!(resources("VCPU:2,DISK_GB: 7").unwrap(), [("VCPU".into(), 2), ("DISK_GB".into(), 7)]);
        assert_eq!(resources("VCPU:1,VCPU:3").unwrap(), [("VCPU".into(), 3)]);
        let error = |text: &str| resources(text).unwrap_err().detail;
        assert!(error(" ").contains("Got: empty string."));
        assert!(error("VCPU").contains("Got: VCPU."));
        assert!(error("VCPU:2:3").contains("Got: VCPU:2:3."));
        assert!(error("VCPU:fred").contains("expected positive integer amount. Got: fred."));
        assert!(error("VCPU:-2").contains("requires amount >= 1. Got: -2."));
        assert!(error("VCPU:0").contains("requires amount >= 1"));
    }

    #[test]
    fn traits_follow_the_microversion() {
        let all = |text: &str, minor| traits(&query(text), "required", Microversion(minor));
        let filter = all("required=A,!B&required=in:C,D", 39).unwrap();
        let required: Vec<Vec<Box<str>>> = vec![vec!["A".into()], vec!["C".into(), "D".into()]];
        assert_eq!((filter.required, filter.forbidden), (required, vec!["B".into()]));
        assert_eq!(all("required=A&required=B", 38).unwrap().required, [vec!["B".into()]]);
        assert!(all("required=!A", 21).unwrap_err().detail.contains("Got: !A"));
        assert!(all("required=A,,B", 39).unwrap_err().detail.contains("Got an empty trait in: A,,B"));
        assert!(
            all("required=in:A", 38).unwrap_err().detail.contains("only supported since microversion 1.39")
        );
    }

    #[test]
    fn aggregates_follow_the_microversion() {
        let one = "00000000-0000-0000-0000-000000000001";
        let all = |text: String, minor| aggregates(&query(&text), "", Microversion(minor));
        let filter = all(format!("member_of=in:{one},{one}&member_of=!{one}"), 32).unwrap();
        assert_eq!((filter.required[0].len(), filter.forbidden.len()), (2, 1));
        assert!(all(format!("member_of={one}&member_of={one}"), 23).is_err());
        assert!(all(format!("member_of=!{one}"), 31).unwrap_err().detail.contains("Forbidden member_of"));
        assert!(all(format!("member_of={one},{one}"), 39).unwrap_err().detail.contains("must be prefixed"));
        assert!(
            all("member_of=pony".to_owned(), 39).unwrap_err().detail.contains("valid UUID(s). Got: pony")
        );
    }
}
