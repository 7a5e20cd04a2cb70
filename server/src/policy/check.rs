//! The language of policy rules, as far as this API needs it: that of oslo.policy without its HTTP
//! checks.
//!
//! ```text
//! check := check "or" check | check "and" check | "not" check | "(" check ")" | "@" | "!"
//!        | "role:" NAME | "rule:" NAME | WHAT ":" VALUE
//! ```
//! WHAT is `user_id`, `project_id`, `domain_id`, `system_scope` (`all`, for a token of the whole
//! system) or a quoted text; VALUE is a text, or `%(project_id)s`: that of the thing asked about.

use crate::auth::Identity;

/// A rule in a form that can be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    Always,
    Never,
    Role(String),
    Rule(String),
    Equal(Term, Term),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Term {
    UserId,
    ProjectId,
    DomainId,
    SystemScope,
    TargetUserId,
    TargetProjectId,
    Text(String),
}

/// The inputs of a rule.
pub(super) struct Situation<'a> {
    pub(super) caller: &'a Identity,
    /// The project that the thing asked about belongs to.
    pub(super) project_id: Option<&'a str>,
    /// Decides a rule by its name.
    pub(super) rule: &'a dyn Fn(&str) -> bool,
}

/// A rule that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the check {check:?}: {reason}")]
pub struct InvalidCheck {
    /// The text of the rule.
    pub check: String,
    /// The problem.
    pub reason: String,
}

impl Check {
    /// Reads a rule.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidCheck> {
        let fail = |reason: String| InvalidCheck { check: text.to_owned(), reason };
        let spaced = text.replace('(', " ( ").replace(')', " ) ").replace("% ( ", "%(").replace(" ) s", ")s");
        let tokens: Vec<&str> = spaced.split_whitespace().collect();
        if tokens.is_empty() {
            return Ok(Self::Always); // as oslo.policy has it
        }
        let mut parser = Parser { tokens: &tokens, depth: 0 };
        let check = parser.any().map_err(fail)?;
        match parser.tokens.first() {
            None => Ok(check),
            Some(extra) => Err(fail(format!("{extra:?} is not expected there"))),
        }
    }

    /// Whether the rule allows it.
    pub(super) fn allows(&self, situation: &Situation<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Role(wanted) => situation.caller.roles.iter().any(|role| role.eq_ignore_ascii_case(wanted)),
            Self::Rule(name) => (situation.rule)(name),
            Self::Equal(left, right) => {
                left.value(situation).is_some_and(|left| right.value(situation) == Some(left))
            }
            Self::Not(check) => !check.allows(situation),
            Self::All(checks) => checks.iter().all(|check| check.allows(situation)),
            Self::Any(checks) => checks.iter().any(|check| check.allows(situation)),
        }
    }

    /// The rules it refers to.
    pub(super) fn rules(&self) -> Vec<&str> {
        match self {
            Self::Rule(name) => vec![name],
            Self::Not(check) => check.rules(),
            Self::All(checks) | Self::Any(checks) => checks.iter().flat_map(Self::rules).collect(),
            Self::Always | Self::Never | Self::Role(_) | Self::Equal(..) => Vec::new(),
        }
    }
}

impl Term {
    fn value<'a>(&'a self, situation: &Situation<'a>) -> Option<&'a str> {
        match self {
            Self::UserId | Self::TargetUserId => Some(&situation.caller.user_id),
            Self::ProjectId => situation.caller.project_id.as_deref(),
            Self::DomainId => situation.caller.domain_id.as_deref(),
            Self::SystemScope => situation.caller.system.then_some("all"),
            Self::TargetProjectId => situation.project_id,
            Self::Text(text) => Some(text),
        }
    }
}

struct Parser<'a> {
    tokens: &'a [&'a str],
    depth: u32,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Check, String> {
        let mut checks = vec![self.all()?];
        while self.take("or") {
            checks.push(self.all()?);
        }
        Ok(if checks.len() == 1 { checks.remove(0) } else { Check::Any(checks) })
    }

    fn all(&mut self) -> Result<Check, String> {
        let mut checks = vec![self.one()?];
        while self.take("and") {
            checks.push(self.one()?);
        }
        Ok(if checks.len() == 1 { checks.remove(0) } else { Check::All(checks) })
    }

    fn one(&mut self) -> Result<Check, String> {
        const DEEPEST: u32 = 50;
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("it is nested more than {DEEPEST} deep"));
        }
        let check = if self.take("not") {
            Check::Not(Box::new(self.one()?))
        } else if self.take("(") {
            let inner = self.any()?;
            if !self.take(")") {
                return Err("a parenthesis is not closed".to_owned());
            }
            inner
        } else {
            let (&token, rest) = self.tokens.split_first().ok_or("it ends too early")?;
            self.tokens = rest;
            atom(token)?
        };
        self.depth -= 1;
        Ok(check)
    }

    fn take(&mut self, word: &str) -> bool {
        match self.tokens.split_first() {
            Some((token, rest)) if token.eq_ignore_ascii_case(word) => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }
}

fn atom(token: &str) -> Result<Check, String> {
    match token.split_once(':') {
        _ if token == "@" => Ok(Check::Always),
        _ if token == "!" => Ok(Check::Never),
        Some(("role", name)) => Ok(Check::Role(name.to_owned())),
        Some(("rule", name)) => Ok(Check::Rule(name.to_owned())),
        Some((left, right)) => Ok(Check::Equal(left_term(left)?, right_term(right)?)),
        None => Err(format!("{token:?} is no check")),
    }
}

const KNOWN: &str = "role, rule, user_id, project_id, domain_id and system_scope";

fn left_term(text: &str) -> Result<Term, String> {
    match text {
        "user_id" => Ok(Term::UserId),
        "project_id" => Ok(Term::ProjectId),
        "domain_id" => Ok(Term::DomainId),
        "system_scope" => Ok(Term::SystemScope),
        _ => literal(text).ok_or_else(|| format!("{text:?} is not known; {KNOWN} are")),
    }
}

fn right_term(text: &str) -> Result<Term, String> {
    match text {
        "%(user_id)s" => Ok(Term::TargetUserId),
        "%(project_id)s" => Ok(Term::TargetProjectId),
        _ if text.starts_with('%') => {
            Err(format!("{text:?} is not known; %(user_id)s and %(project_id)s are"))
        }
        _ => Ok(literal(text).unwrap_or_else(|| Term::Text(text.to_owned()))),
    }
}

fn literal(text: &str) -> Option<Term> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    Some(Term::Text(inner.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(check: &str, roles: &[&str], project: &str) -> bool {
        let roles = roles.iter().map(|&role| role.to_owned()).collect();
        let caller =
            Identity { user_id: "u1".into(), project_id: Some("p1".into()), roles, ..Identity::default() };
        let situation = Situation { caller: &caller, project_id: Some(project), rule: &|name| name == "yes" };
        Check::parse(check).unwrap().allows(&situation)
    }

    #[test]
    fn checks_mean_what_oslo_policy_says() {
        assert!(allows("@", &[], "") && !allows("!", &[], "") && allows("", &[], ""));
        assert!(allows("role:Admin or role:service", &["admin"], ""));
        assert!(!allows("role:admin and not role:admin", &["admin"], ""));
        assert!(allows("role:a or role:b and role:c", &["a"], ""), "and binds closer");
        assert!(!allows("(role:a or role:b) and role:c", &["a"], ""));
        assert!(
            allows("project_id:%(project_id)s", &[], "p1") && !allows("project_id:%(project_id)s", &[], "p2")
        );
        assert!(allows("rule:yes", &[], "") && !allows("rule:no", &[], ""));
        assert!(allows("'u1':%(user_id)s", &[], "") && allows("user_id:u1", &[], ""));
        assert!(!allows("system_scope:all", &[], "") && !allows("domain_id:d", &[], ""));
    }

    #[test]
    fn the_reason_of_an_invalid_check_is_reported() {
        let reason = |check: &str| Check::parse(check).unwrap_err().reason;
        assert!(reason("admin").contains("no check"));
        assert!(reason("(role:a").contains("not closed"));
        assert!(reason("role:a or").contains("too early"));
        assert!(reason("role:a role:b").contains("not expected"));
        assert!(reason("shoe_size:47").contains("not known"));
        assert!(reason(&"not ".repeat(100)).contains("nested"));
    }
}
