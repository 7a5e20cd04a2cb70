//! The schema of an allocation candidate query.

use crate::json::schema::{Object, Pattern, Schema, Text};
use crate::json::{VersionedSchema, patterns};
use crate::microversion::Microversion;

/// The schema of the query, by microversion.
pub(super) static QUERY: VersionedSchema<Object> = VersionedSchema::new(query);

fn query(version: Microversion) -> Object {
    let mut object = Object::default();
    if version.at_least(16) {
        let limit = Text { pattern: Some(patterns::POSITIVE), at_least_one: true, ..Text::default() };
        object.members.push(("limit", Schema::String(limit)));
    }
    if version.at_least(25) {
        let policy = Text { one_of: Some(&["none", "isolate"]), ..Text::default() };
        object.members.push(("group_policy", Schema::String(policy)));
        object.patterns = group_parameters(version);
    } else {
        let all = [(10, "resources"), (17, "required"), (21, "member_of")];
        let known = all.into_iter().filter(|(since, _)| version.at_least(*since));
        object.members.extend(known.map(|(_, name)| (name, Schema::string())));
        object.required = vec!["resources"];
    }
    if version.at_least(35) {
        object.members.push(("root_required", Schema::string()));
    }
    if version.at_least(36) {
        object.members.push(("same_subtree", Schema::string()));
    }
    object
}

/// The parameters that may have a suffix.
fn group_parameters(version: Microversion) -> Vec<(Pattern, Schema)> {
    macro_rules! parameter {
        ($name:literal, $suffix:literal, $is_suffix:path) => {
            Pattern {
                text: concat!("^", $name, "(", $suffix, ")?$").into(),
                matches: |text| text.strip_prefix($name).is_some_and($is_suffix),
            }
        };
    }
    macro_rules! parameters {
        ($suffix:literal, $is_suffix:path) => {
            [
                parameter!("resources", $suffix, $is_suffix),
                parameter!("required", $suffix, $is_suffix),
                parameter!("member_of", $suffix, $is_suffix),
                parameter!("in_tree", $suffix, $is_suffix),
            ]
        };
    }
    let all = if version.at_least(33) {
        parameters!("[a-zA-Z0-9_-]{1,64}", patterns::is_name_suffix)
    } else {
        parameters!("[1-9][0-9]*", patterns::is_number_suffix)
    };
    let known = if version.at_least(31) { 4 } else { 3 };
    all.into_iter().take(known).map(|pattern| (pattern, Schema::string())).collect()
}
