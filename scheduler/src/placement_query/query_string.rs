//! A request as the query of `GET /allocation_candidates`, in the order and encoding of Nova.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::resource_request::{RequestGroup, ResourceRequest};

impl ResourceRequest {
    /// The text after `/allocation_candidates?`, for microversion 1.36.
    #[must_use]
    pub fn to_query_string(&self) -> String {
        let pairs = self.to_parameters().into_iter();
        let encoded: Vec<_> =
            pairs.map(|(name, value)| format!("{}={}", encode(&name), encode(&value))).collect();
        encoded.join("&")
    }

    /// Names and values of the query's parameters, sorted.
    #[must_use]
    pub fn to_parameters(&self) -> Vec<(String, String)> {
        let mut parameters = self.request_parameters();
        for (suffix, group) in self.asked_groups() {
            parameters.extend(group.parameters(suffix));
        }
        parameters.sort();
        parameters
    }

    fn request_parameters(&self) -> Vec<(String, String)> {
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        let policy = self.group_policy.map(|policy| ("group_policy", policy.as_str().to_owned()));
        let root = traits(self.root_required.iter(), self.root_forbidden.iter())
            .map(|names| ("root_required", names));
        let subtrees = self.same_subtree.iter().map(|suffixes| ("same_subtree", join(suffixes)));
        let all = limit.into_iter().chain(policy).chain(root).chain(subtrees);
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

impl RequestGroup {
    fn parameters(&self, suffix: &str) -> Vec<(String, String)> {
        let mut resources: Vec<_> =
            self.resources.iter().map(|(class, amount)| format!("{class}:{amount}")).collect();
        resources.sort();
        let mut parameters = vec![("resources", resources.join(","))];
        parameters.extend(
            traits(self.required_traits.iter(), self.forbidden_traits.iter())
                .map(|names| ("required", names)),
        );
        parameters.extend(self.member_of.iter().map(|set| ("member_of", format!("in:{}", listed(set)))));
        if !self.forbidden_aggregates.is_empty() {
            parameters.push(("member_of", format!("!in:{}", listed(&self.forbidden_aggregates))));
        }
        parameters.extend(self.in_tree.map(|provider| ("in_tree", provider.to_string())));
        parameters.into_iter().map(|(name, value)| (format!("{name}{suffix}"), value)).collect()
    }
}

fn traits<'a>(
    required: impl Iterator<Item = &'a String>,
    forbidden: impl Iterator<Item = &'a String>,
) -> Option<String> {
    let names: Vec<_> = required.cloned().chain(forbidden.map(|name| format!("!{name}"))).collect();
    Some(names.join(",")).filter(|text| !text.is_empty())
}

fn join<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let mut names: Vec<_> = names.into_iter().map(String::as_str).collect();
    names.sort_unstable();
    names.join(",")
}

fn listed(aggregates: &BTreeSet<Uuid>) -> String {
    aggregates.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",")
}

/// Form encoding: letters, digits and `_.-~` stand for themselves, a blank is `+`.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'.' | b'-' | b'~' => out.push(byte as char),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
