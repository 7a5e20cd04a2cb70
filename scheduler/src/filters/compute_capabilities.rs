//! ComputeCapabilitiesFilter

use std::borrow::Cow;

use super::{Filter, FilterError, PASS, Reason, RequestState, Scene, Scope, Verdict, matches};
use crate::hosts::{HostRow, Reach, reach};
use crate::python::Value;

/// Passes hosts whose attributes meet the extra specs. It looks at extra specs with the prefix
/// `capabilities:`, whose further parts are a path into what the host reports, at
/// `hw:maxphysaddr_bits`, and at those without any prefix that name an attribute of the host.
pub(super) struct ComputeCapabilitiesFilter<'a> {
    scene: &'a Scene<'a>,
    wanted: Vec<Wanted<'a>>,
}

/// An extra spec that is a requirement on an attribute.
struct Wanted<'a> {
    key: &'a str,
    path: Vec<&'a str>,
    requirement: Cow<'a, str>,
    /// Whether hosts that have no such attribute pass.
    only_if_known: bool,
}

const ADDRESS_BITS: &str = "hw:maxphysaddr_bits";

impl<'a> ComputeCapabilitiesFilter<'a> {
    pub(super) fn new(scene: &'a Scene<'a>) -> Self {
        let specs = &scene.request.flavor.extra_specs;
        let bits = specs.get(ADDRESS_BITS);
        // The bits are the last requirement, unless the key they stand for is given, too: then
        // they replace it.
        let explicit = specs.get(ADDRESS_BITS_CAPABILITY).is_some();
        let mut wanted: Vec<_> = specs.iter().filter_map(|(key, value)| wanted(key, value)).collect();
        if let Some(bits) = bits {
            let requirement = Cow::Owned(format!(">= {bits}"));
            match wanted.iter_mut().find(|one| explicit && one.key == ADDRESS_BITS_CAPABILITY) {
                Some(known) => known.requirement = requirement,
                None => wanted.extend(
                    self::wanted(ADDRESS_BITS_CAPABILITY, "").map(|one| Wanted { requirement, ..one }),
                ),
            }
        }
        Self { scene, wanted }
    }

    /// The value at a path, which begins with an attribute of the host or one of its stats. Texts
    /// on the way are read as JSON.
    fn capability(&self, row: HostRow, path: &[&str]) -> Option<Value> {
        let (first, rest) = path.split_first()?;
        let hosts = self.scene.hosts;
        let stat = || hosts.stats(row)?.get(first).cloned();
        // Nova's filter cannot look into the service: it is no plain dictionary.
        if *first == "service" && !rest.is_empty() {
            return None;
        }
        let start = hosts.attribute(row, first).or_else(stat)?;
        rest.iter()
            .try_fold(start, |value, step| step_into(&value, step))
            .filter(|value| *value != Value::None)
    }

    fn is_known(&self, row: HostRow, name: &str) -> bool {
        reach(name).is_some_and(|_| name != "stats" || self.scene.hosts.stats(row).is_some())
            || self.scene.hosts.stats(row).is_some_and(|stats| stats.get(name).is_some())
    }
}

const ADDRESS_BITS_CAPABILITY: &str = "capabilities:cpu_info:maxphysaddr:bits";

fn wanted<'a>(key: &'a str, requirement: &'a str) -> Option<Wanted<'a>> {
    let path: Vec<&str> = key.split(':').collect();
    let requirement = Cow::Borrowed(requirement);
    match path.as_slice() {
        [_] => Some(Wanted { key, path, requirement, only_if_known: true }),
        ["capabilities", rest @ ..] => {
            Some(Wanted { key, path: rest.to_vec(), requirement, only_if_known: false })
        }
        _ => None,
    }
}

fn step_into(value: &Value, step: &str) -> Option<Value> {
    let found = match value {
        Value::Text(text) => Value::parse(text).ok()?.get(step)?.clone(),
        other => other.get(step)?.clone(),
    };
    Some(found).filter(|value| *value != Value::None)
}

impl Filter for ComputeCapabilitiesFilter<'_> {
    fn scope(&self) -> Scope {
        let of_the_class =
            |wanted: &Wanted<'_>| wanted.path.first().and_then(|name| reach(name)) == Some(Reach::Class);
        if self.wanted.is_empty() {
            Scope::Everything
        } else if self.wanted.iter().all(of_the_class) && self.scene.hosts.all_report_cpu_info() {
            Scope::Class
        } else {
            Scope::Host
        }
    }

    fn judge(&self, row: HostRow, _: &mut RequestState) -> Verdict {
        for wanted in &self.wanted {
            if wanted.only_if_known && !self.is_known(row, wanted.path[0]) {
                continue;
            }
            let Some(found) = self.capability(row, &wanted.path) else {
                return Ok(Err(Reason::NoCapability { key: wanted.key.to_owned() }));
            };
            let found = found.to_string();
            let met = matches(&found, &wanted.requirement)
                .map_err(|error| FilterError::ExtraSpec { key: wanted.key.to_owned(), error })?;
            if !met {
                let (key, asked) = (wanted.key.to_owned(), wanted.requirement.to_string());
                return Ok(Err(Reason::OtherCapability { key, asked, found }));
            }
        }
        PASS
    }
}
