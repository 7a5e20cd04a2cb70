//! The schemas of bodies and queries, by microversion.

use std::sync::LazyLock;

use berth_placement::Inventory;

use crate::json::schema::{Object, Schema, Text};
use crate::json::{VersionedSchema, patterns};
use crate::microversion::Microversion;

/// A schema that is the same at all microversions.
type Unversioned<T = Schema> = LazyLock<T>;

pub(super) static CLASS: Unversioned = LazyLock::new(class);
pub(super) static PROVIDER_TRAITS: Unversioned = LazyLock::new(provider_traits);
pub(super) static TRAIT_QUERY: Unversioned<Object> = LazyLock::new(trait_query);
pub(super) static AGGREGATES: Unversioned = LazyLock::new(aggregates);
pub(super) static GUARDED_AGGREGATES: Unversioned = LazyLock::new(guarded_aggregates);
pub(super) static NEW_PROVIDER: VersionedSchema = VersionedSchema::new(|version| provider(version, true));
pub(super) static PROVIDER: VersionedSchema = VersionedSchema::new(|version| provider(version, false));
pub(super) static PROVIDER_QUERY: VersionedSchema<Object> = VersionedSchema::new(provider_query);
pub(super) static NEW_INVENTORY: Unversioned = LazyLock::new(new_inventory);
pub(super) static INVENTORY: Unversioned = LazyLock::new(inventory);
pub(super) static INVENTORIES: Unversioned = LazyLock::new(inventories);
/// The allocations of one consumer.
pub(super) static ALLOCATIONS: VersionedSchema = VersionedSchema::new(allocations);
/// The allocations of several consumers.
pub(super) static MANY_ALLOCATIONS: VersionedSchema =
    VersionedSchema::new(|version| many_allocations(version, true));
pub(super) static RESHAPE: VersionedSchema = VersionedSchema::new(reshape);
pub(super) static USAGE_QUERY: VersionedSchema<Object> = VersionedSchema::new(usage_query);

/// The largest allocation ratio: what a single-precision database column holds.
const MAX_RATIO: f64 = 3.40282e+38;

fn object(members: Vec<(&'static str, Schema)>, required: &[&'static str]) -> Object {
    Object { members, required: required.to_vec(), ..Object::default() }
}

fn closed(members: Vec<(&'static str, Schema)>, required: &[&'static str]) -> Schema {
    Schema::Object(object(members, required))
}

fn bounded(longest: usize) -> Schema {
    Schema::String(Text { at_least_one: true, longest: Some(longest), ..Text::default() })
}

fn amount(minimum: i64) -> Schema {
    Schema::Integer { minimum: Some(minimum), maximum: Some(i64::from(Inventory::MAX_AMOUNT)) }
}

// Resource classes and traits.

fn class() -> Schema {
    let name = Text { pattern: Some(patterns::CUSTOM), longest: Some(255), ..Text::default() };
    closed(vec![("name", Schema::String(name))], &["name"])
}

fn provider_traits() -> Schema {
    let traits = Schema::Array { items: Box::new(bounded(255)), at_least_one: false, unique: false };
    let members = vec![("traits", traits), ("resource_provider_generation", Schema::integer())];
    closed(members, &["traits", "resource_provider_generation"])
}

fn trait_query() -> Object {
    object(vec![("name", Schema::string()), ("associated", Schema::string())], &[])
}

// Aggregates.

fn aggregates() -> Schema {
    Schema::Array { items: Box::new(Schema::uuid()), at_least_one: false, unique: true }
}

fn guarded_aggregates() -> Schema {
    let members = vec![("aggregates", aggregates()), ("resource_provider_generation", Schema::integer())];
    closed(members, &["aggregates", "resource_provider_generation"])
}

// Resource providers.

fn provider(version: Microversion, is_new: bool) -> Schema {
    let name = Schema::String(Text { longest: Some(200), ..Text::default() });
    let mut members = vec![("name", name)];
    if is_new {
        members.push(("uuid", Schema::uuid()));
    }
    if version.at_least(14) {
        members.push(("parent_provider_uuid", Schema::UuidOrNull));
    }
    closed(members, &["name"])
}

fn provider_query(version: Microversion) -> Object {
    let all = [
        (0, "name", Schema::string()),
        (0, "uuid", Schema::dashed_uuid()),
        (3, "member_of", Schema::string()),
        (4, "resources", Schema::string()),
        (14, "in_tree", Schema::dashed_uuid()),
        (18, "required", Schema::string()),
    ];
    let known = all.into_iter().filter(|(since, ..)| version.at_least(*since));
    object(known.map(|(_, name, schema)| (name, schema)).collect(), &[])
}

// Inventories.

fn inventory_members() -> Vec<(&'static str, Schema)> {
    vec![
        ("resource_provider_generation", Schema::integer()),
        ("total", amount(1)),
        ("reserved", amount(0)),
        ("min_unit", amount(1)),
        ("max_unit", amount(1)),
        ("step_size", amount(1)),
        ("allocation_ratio", Schema::Number { maximum: MAX_RATIO }),
    ]
}

fn new_inventory() -> Schema {
    let mut members = inventory_members();
    let class = Text { pattern: Some(patterns::CLASS), ..Text::default() };
    members.push(("resource_class", Schema::String(class)));
    closed(members, &["total", "resource_class"])
}

fn inventory() -> Schema {
    closed(inventory_members(), &["total", "resource_provider_generation"])
}

fn inventories() -> Schema {
    let record = closed(inventory_members(), &["total"]);
    let records = Object { patterns: vec![(patterns::CLASS, record)], open: true, ..Object::default() };
    let members =
        vec![("resource_provider_generation", Schema::integer()), ("inventories", Schema::Object(records))];
    closed(members, &["resource_provider_generation", "inventories"])
}

// Allocations.

fn resources() -> Schema {
    let least = Schema::Integer { minimum: Some(1), maximum: None };
    let patterns = vec![(patterns::CLASS, least)];
    Schema::Object(Object { patterns, at_least_one: true, ..Object::default() })
}

/// The requested allocations of one consumer.
fn allocations(version: Microversion) -> Schema {
    if version.at_least(12) {
        allocations_by_provider(version, !version.at_least(28))
    } else {
        listed_allocations(version)
    }
}

/// Until 1.11: a list.
fn listed_allocations(version: Microversion) -> Schema {
    let provider = closed(vec![("uuid", Schema::uuid())], &["uuid"]);
    let members = vec![("resource_provider", provider), ("resources", resources())];
    let items = Box::new(closed(members, &["resource_provider", "resources"]));
    let list = Schema::Array { items, at_least_one: true, unique: false };
    let mut members = vec![("allocations", list)];
    let mut required = vec!["allocations"];
    if version.at_least(8) {
        members.extend([("project_id", bounded(255)), ("user_id", bounded(255))]);
        required.extend(["project_id", "user_id"]);
    }
    closed(members, &required)
}

/// From 1.12 on: an object by provider.
fn allocations_by_provider(version: Microversion, at_least_one: bool) -> Schema {
    let members = vec![("generation", Schema::integer()), ("resources", resources())];
    let patterns = vec![(patterns::UUID, closed(members, &["resources"]))];
    let allocations = Schema::Object(Object { patterns, at_least_one, ..Object::default() });
    let mut members =
        vec![("allocations", allocations), ("project_id", bounded(255)), ("user_id", bounded(255))];
    let mut required = vec!["allocations", "project_id", "user_id"];
    if version.at_least(28) {
        members.push(("consumer_generation", Schema::IntegerOrNull));
        required.push("consumer_generation");
    }
    if version.at_least(34) {
        members.push(("mappings", mappings()));
    }
    if version.at_least(38) {
        let name = Text {
            pattern: Some(patterns::CLASS),
            at_least_one: true,
            longest: Some(255),
            ..Text::default()
        };
        members.push(("consumer_type", Schema::String(name)));
        required.push("consumer_type");
    }
    closed(members, &required)
}

fn mappings() -> Schema {
    let providers = Schema::Array { items: Box::new(Schema::uuid()), at_least_one: true, unique: false };
    let patterns = vec![(patterns::GROUP_SUFFIX, providers)];
    Schema::Object(Object { patterns, open: true, at_least_one: true, ..Object::default() })
}

/// The requested allocations of several consumers.
fn many_allocations(version: Microversion, at_least_one: bool) -> Schema {
    let patterns = vec![(patterns::UUID, allocations_by_provider(version, false))];
    Schema::Object(Object { patterns, at_least_one, ..Object::default() })
}

fn reshape(version: Microversion) -> Schema {
    let patterns = vec![(patterns::UUID, inventories())];
    let inventories = Schema::Object(Object { patterns, at_least_one: true, ..Object::default() });
    let members = vec![("inventories", inventories), ("allocations", many_allocations(version, false))];
    closed(members, &["inventories", "allocations"])
}

// Usages.

fn usage_query(version: Microversion) -> Object {
    let mut members = vec![("project_id", bounded(255)), ("user_id", bounded(255))];
    if version.at_least(38) {
        let pattern = Some(patterns::CONSUMER_TYPE_FILTER);
        let text = Text { pattern, at_least_one: true, longest: Some(255), ..Text::default() };
        members.push(("consumer_type", Schema::String(text)));
    }
    object(members, &["project_id"])
}
