//! Who may do what.

mod check;
mod file;
pub(crate) mod rules;

use std::collections::{BTreeMap, BTreeSet};

use crate::auth::Identity;
use check::{Check, Situation};
use file::Entry;

pub use check::InvalidCheck;
pub use file::InvalidFile;

/// How many rules may refer to each other in turn.
const DEEPEST: usize = 10;

/// The rules in force.
#[derive(Debug, Clone)]
pub struct AccessPolicy {
    checks: BTreeMap<String, Rule>,
}

/// A rule as it was written and in a form that can be decided.
#[derive(Debug, Clone)]
struct Rule {
    text: String,
    check: Check,
}

/// A policy that cannot be put in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] InvalidFile),
    /// A rule cannot be read.
    #[error("line {line}: rule {rule}: {error}")]
    Check {
        /// The line it stands on.
        line: usize,
        /// The rule.
        rule: String,
        /// The problem.
        error: InvalidCheck,
    },
    /// A rule refers to one that does not exist, to itself by way of others, or on and on.
    #[error(
        "line {line}: rule {rule} refers to an unknown rule, to itself, or to rules that refer to others more than {DEEPEST} times in turn"
    )]
    Reference {
        /// The line it stands on.
        line: usize,
        /// The rule.
        rule: String,
    },
    /// A rule is about something that this API does not have.
    #[error("line {line}: there is no rule {rule} in the Placement API")]
    Unknown {
        /// The line it stands on.
        line: usize,
        /// The rule.
        rule: String,
    },
}

impl AccessPolicy {
    /// The defaults for people, projects and services with roles of their own.
    #[must_use]
    pub fn secure() -> Self {
        Self::of(rules::secure())
    }

    /// The defaults with the rights that administrators had before.
    #[must_use]
    pub fn legacy() -> Self {
        Self::of(rules::secure().chain(rules::LEGACY))
    }

    fn of(rules: impl Iterator<Item = (&'static str, &'static str)>) -> Self {
        let checks = rules.map(|(rule, check)| {
            (rule.to_owned(), Rule::parse(check).expect("the defaults are well formed"))
        });
        Self { checks: checks.collect() }
    }

    /// Puts the rules of a policy file in the place of those of the same names.
    ///
    /// # Errors
    /// A file or rule that cannot be read, or a rule that refers to one that does not exist.
    pub fn overridden(mut self, file: &str) -> Result<Self, InvalidPolicy> {
        let entries = file::parse(file)?;
        for Entry { line, rule, check } in entries.clone() {
            if rule.starts_with("placement:") && !self.checks.contains_key(&rule) {
                return Err(InvalidPolicy::Unknown { line, rule });
            }
            let parsed = Rule::parse(&check);
            let parsed = parsed.map_err(|error| InvalidPolicy::Check { line, rule: rule.clone(), error })?;
            self.checks.insert(rule, parsed);
        }
        // The defaults refer to each other only, so a reference that leads nowhere passes through
        // the file.
        let decided = self.decided();
        match entries.into_iter().find(|entry| !decided.contains(&*entry.rule)) {
            Some(Entry { line, rule, .. }) => Err(InvalidPolicy::Reference { line, rule }),
            None => Ok(self),
        }
    }

    /// The rules that can be decided by following references [`DEEPEST`] times.
    fn decided(&self) -> BTreeSet<&str> {
        let mut decided = BTreeSet::new();
        for _ in 0..=DEEPEST {
            let is_ready = |rule: &Rule| rule.check.rules().into_iter().all(|next| decided.contains(next));
            let ready = self.checks.iter().filter(|(_, rule)| is_ready(rule));
            decided = ready.map(|(name, _)| &**name).collect();
        }
        decided
    }

    /// All rules with their checks, in order of name.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &str)> {
        self.checks.iter().map(|(name, rule)| (&**name, &*rule.text))
    }

    /// Whether `caller` may do what the rule is about to something of the project.
    #[must_use]
    pub fn allows(&self, rule: &str, caller: &Identity, project_id: Option<&str>) -> bool {
        // A token of the whole system or of a domain says nothing about a project.
        if (caller.system || caller.domain_id.is_some()) && rules::is_for_projects(rule) {
            return false;
        }
        let decide = |rule: &str| self.allows(rule, caller, project_id);
        let situation = Situation { caller, project_id, rule: &decide };
        self.checks.get(rule).is_some_and(|rule| rule.check.allows(&situation))
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, InvalidCheck> {
        Ok(Self { text: text.to_owned(), check: Check::parse(text)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(roles: &[&str]) -> Identity {
        let roles = roles.iter().map(|&role| role.to_owned()).collect();
        Identity { user_id: "u".into(), project_id: Some("p".into()), roles, ..Identity::default() }
    }

    /// (rule, role) by (legacy, secure), from the original's documented defaults.
    #[test]
    fn the_defaults_are_the_originals() {
        let (legacy, secure) = (AccessPolicy::legacy(), AccessPolicy::secure());
        let matrix = [
            (rules::PROVIDERS_CREATE, "admin", true, true),
            (rules::PROVIDERS_CREATE, "service", true, true),
            (rules::PROVIDERS_CREATE, "reader", false, false),
            (rules::RESHAPE, "admin", true, false),
            (rules::RESHAPE, "service", true, true),
            (rules::PROJECT_USAGES, "admin", true, true),
            (rules::PROJECT_USAGES, "reader", true, true),
            (rules::PROJECT_USAGES, "member", false, false),
        ];
        for (rule, role, by_legacy, by_secure) in matrix {
            let caller = caller(&[role]);
            assert_eq!(legacy.allows(rule, &caller, Some("p")), by_legacy, "legacy: {rule} by {role}");
            assert_eq!(secure.allows(rule, &caller, Some("p")), by_secure, "secure: {rule} by {role}");
        }
        assert!(!secure.allows(rules::PROJECT_USAGES, &caller(&["reader"]), Some("other")));
        let system = Identity { system: true, project_id: None, ..caller(&["admin"]) };
        assert!(!secure.allows(rules::PROVIDERS_LIST, &system, None));
    }

    #[test]
    fn a_file_overrides_rules_by_name() {
        let policy = AccessPolicy::legacy().overridden("\"placement:traits:list\": \"@\"\n").unwrap();
        assert!(policy.allows(rules::TRAITS_LIST, &caller(&[]), None));
        assert!(!policy.allows(rules::TRAITS_UPDATE, &caller(&[]), None));
    }

    #[test]
    fn the_example_of_the_documentation_is_good() {
        let page = include_str!("../../../docs/operations.md");
        let lines = page.lines().filter_map(|line| line.strip_prefix("    \""));
        let file: Vec<String> = lines.map(|line| format!("\"{line}")).collect();
        assert_eq!(file.len(), 4);
        let policy = AccessPolicy::legacy().overridden(&file.join("\n")).unwrap();
        assert!(policy.allows(rules::TRAITS_LIST, &caller(&[]), None));
        assert!(!policy.allows(rules::TRAITS_DELETE, &caller(&["admin"]), None));
        assert!(policy.allows(rules::PROVIDERS_LIST, &caller(&["auditor"]), None));
    }

    #[test]
    fn rules_that_lead_nowhere_are_refused() {
        let error = |file: &str| AccessPolicy::legacy().overridden(file).unwrap_err();
        let circle = error("# two\na: rule:b\nb: rule:a").to_string();
        assert!(circle.starts_with("line 2: rule a refers to an unknown rule, to itself"), "{circle}");
        assert!(matches!(error("a: rule:missing"), InvalidPolicy::Reference { line: 1, .. }));
        assert!(matches!(error("admin_or_service_api: rule:missing"), InvalidPolicy::Reference { .. }));
        assert!(matches!(error("placement:trait:list: '@'"), InvalidPolicy::Unknown { line: 1, .. }));
        // The longest allowed chain, with each link twice: checked without following every path
        // through it.
        let chain = |length: usize| {
            let links = (1..=length).map(|n| format!("r{n:03}: rule:r{:03} or rule:r{:03}\n", n - 1, n - 1));
            format!("r000: \"@\"\n{}", links.collect::<String>())
        };
        assert!(AccessPolicy::legacy().overridden(&chain(DEEPEST)).is_ok());
        let last = error(&chain(DEEPEST + 1));
        assert!(
            matches!(&last, InvalidPolicy::Reference { rule, .. } if *rule == format!("r{:03}", DEEPEST + 1))
        );
        assert!(matches!(error("a: pony"), InvalidPolicy::Check { .. }));
    }
}
