//! The way back: a script that makes a Placement database hold what the records say.

use berth_placement::standard::{CLASSES, CUSTOM_PREFIX};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

use berth_placement::{ConsumerRecord, NameRecord, Owner, ProviderRecord, Record, Timestamp};
use uuid::Uuid;

use super::query::Dialect;
use crate::utc;

/// Rows in one statement.
const BATCH: usize = 500;

/// The id of the first class that is not standard.
const FIRST_CUSTOM_CLASS: usize = 10_000;

/// The project and the user of consumers without: what Placement itself makes of them.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// Everything that goes, in an order that foreign keys allow. Standard names stay.
const EMPTY: &str = "\
DELETE FROM allocations;
DELETE FROM consumers;
DELETE FROM consumer_types;
DELETE FROM projects;
DELETE FROM users;
DELETE FROM inventories;
DELETE FROM resource_provider_traits;
DELETE FROM resource_provider_aggregates;
DELETE FROM placement_aggregates;
UPDATE resource_providers SET parent_provider_id = NULL, root_provider_id = NULL;
DELETE FROM resource_providers;
DELETE FROM traits WHERE SUBSTR(name, 1, 7) = 'CUSTOM_';
DELETE FROM resource_classes WHERE SUBSTR(name, 1, 7) = 'CUSTOM_';
";

/// Writes a script for the database's own client. It replaces, in one transaction, what a Placement
/// database holds.
///
/// # Errors
/// The errors of `out`.
pub fn write_script(
    mut out: impl Write,
    dialect: Dialect,
    records: impl IntoIterator<Item = Record>,
) -> io::Result<()> {
    let contents = Contents::of(records);
    writeln!(out, "{}", begin(dialect))?;
    out.write_all(EMPTY.as_bytes())?;
    contents.write_names(&mut out)?;
    contents.write_providers(&mut out)?;
    contents.write_consumers(&mut out)?;
    if dialect == Dialect::Postgresql {
        write_sequences(&mut out)?;
    }
    writeln!(out, "COMMIT;")
}

const fn begin(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Mysql => {
            "SET NAMES utf8mb4;\n\
             SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES,NO_AUTO_VALUE_ON_ZERO';\n\
             START TRANSACTION;"
        }
        Dialect::Postgresql => {
            "\\set ON_ERROR_STOP on\nSET client_encoding = 'UTF8';\n\
             SET standard_conforming_strings = on;\nBEGIN;"
        }
        Dialect::Sqlite => ".bail on\nBEGIN;",
    }
}

/// The ids that were given out by hand are not given out again.
fn write_sequences(out: &mut impl Write) -> io::Result<()> {
    for table in ["resource_providers", "placement_aggregates", "projects", "users", "consumer_types"] {
        writeln!(
            out,
            "SELECT setval(pg_get_serial_sequence('{table}', 'id'), COALESCE((SELECT MAX(id) FROM {table}), 0) + 1, false);"
        )?;
    }
    Ok(())
}

/// The rows to write, with their ids.
struct Contents {
    classes: Vec<(usize, NameRecord)>,
    traits: Vec<NameRecord>,
    /// Parents before children.
    providers: Vec<ProviderRecord>,
    provider_ids: BTreeMap<Uuid, usize>,
    consumers: Vec<ConsumerRecord>,
}

impl Contents {
    fn of(records: impl IntoIterator<Item = Record>) -> Self {
        let (mut classes, mut traits, mut providers, mut consumers) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for record in records {
            match record {
                Record::Class(class) => classes.push(class),
                Record::Trait(of) => traits.push(of),
                Record::Provider(provider) => providers.push(provider),
                Record::Consumer(consumer) if consumer.allocations.is_empty() => {}
                Record::Consumer(consumer) => consumers.push(consumer),
            }
        }
        let used_classes: BTreeSet<Arc<str>> =
            providers.iter().flat_map(|p| &p.inventories).map(|(class, _)| Arc::clone(class)).collect();
        let used_traits: BTreeSet<Arc<str>> = providers.iter().flat_map(|p| &p.traits).cloned().collect();
        // Of the standard names, another version may have others: only those in use have to be
        // there.
        let mut classes = numbered_classes(classes);
        classes.retain(|(_, class)| is_wanted(&class.name, &used_classes));
        traits.retain(|name| is_wanted(&name.name, &used_traits));
        let depths = depths(&providers);
        providers.sort_by_key(|provider| depths[&provider.uuid]); // stable
        let provider_ids = providers.iter().map(|provider| provider.uuid).zip(1..).collect();
        Self { classes, traits, providers, provider_ids, consumers }
    }

    fn write_names(&self, out: &mut impl Write) -> io::Result<()> {
        for (id, NameRecord { name, since }) in &self.classes {
            let (name, at) = (text(name), time(*since));
            let values = format!("{id}, {at}, {name}");
            insert_new(out, "resource_classes", "id, created_at, name", &values, &name)?;
        }
        for NameRecord { name, since } in &self.traits {
            let (name, at) = (text(name), time(*since));
            insert_new(out, "traits", "created_at, name", &format!("{at}, {name}"), &name)?;
        }
        Ok(())
    }

    fn write_providers(&self, out: &mut impl Write) -> io::Result<()> {
        let mut roots = BTreeMap::new();
        let mut insert = Insert::into(
            out,
            "resource_providers (id, created_at, updated_at, uuid, name, generation, root_provider_id, parent_provider_id)",
        );
        for provider in &self.providers {
            let id = self.provider_ids[&provider.uuid];
            let parent = provider.parent.map(|parent| self.provider_ids[&parent]);
            let root = parent.map_or(id, |parent| roots[&parent]);
            roots.insert(id, root);
            let ProviderRecord { uuid, generation, .. } = provider;
            let (name, at) = (text(&provider.name), time(provider.changed_at));
            let parent = parent.map_or_else(|| "NULL".to_owned(), |parent| parent.to_string());
            insert.row(format_args!("{id}, {at}, {at}, '{uuid}', {name}, {generation}, {root}, {parent}"))?;
        }
        insert.end()?;
        self.write_inventories(out)?;
        self.write_provider_traits(out)?;
        self.write_aggregates(out)
    }

    fn write_inventories(&self, out: &mut impl Write) -> io::Result<()> {
        let mut insert = Insert::into(
            out,
            "inventories (created_at, resource_provider_id, resource_class_id, total, reserved, min_unit, max_unit, step_size, allocation_ratio)",
        );
        for provider in &self.providers {
            let (id, at) = (self.provider_ids[&provider.uuid], time(provider.changed_at));
            for (class, inventory) in &provider.inventories {
                let (class, units) = (class_id(class), inventory.units);
                insert.row(format_args!(
                    "{at}, {id}, {class}, {}, {}, {}, {}, {}, {:?}",
                    inventory.total,
                    inventory.reserved,
                    units.min_unit,
                    units.max_unit,
                    units.step_size,
                    inventory.allocation_ratio
                ))?;
            }
        }
        insert.end()
    }

    fn write_provider_traits(&self, out: &mut impl Write) -> io::Result<()> {
        let mut insert =
            Insert::into(out, "resource_provider_traits (created_at, resource_provider_id, trait_id)");
        for provider in &self.providers {
            let (id, at) = (self.provider_ids[&provider.uuid], time(provider.changed_at));
            for name in &provider.traits {
                let name = text(name);
                insert.row(format_args!("{at}, {id}, (SELECT id FROM traits WHERE name = {name})"))?;
            }
        }
        insert.end()
    }

    fn write_aggregates(&self, out: &mut impl Write) -> io::Result<()> {
        let aggregates: BTreeSet<Uuid> =
            self.providers.iter().flat_map(|provider| provider.aggregates.iter().copied()).collect();
        let ids: BTreeMap<Uuid, usize> = aggregates.into_iter().zip(1..).collect();
        let mut insert = Insert::into(out, "placement_aggregates (id, uuid)");
        for (uuid, id) in &ids {
            insert.row(format_args!("{id}, '{uuid}'"))?;
        }
        insert.end()?;
        let mut insert =
            Insert::into(out, "resource_provider_aggregates (resource_provider_id, aggregate_id)");
        for provider in &self.providers {
            let id = self.provider_ids[&provider.uuid];
            for aggregate in &provider.aggregates {
                insert.row(format_args!("{id}, {}", ids[aggregate]))?;
            }
        }
        insert.end()
    }

    fn write_consumers(&self, out: &mut impl Write) -> io::Result<()> {
        let projects = numbered(self.consumers.iter().map(|consumer| owner(consumer).0));
        let users = numbered(self.consumers.iter().map(|consumer| owner(consumer).1));
        let types = numbered(self.consumers.iter().filter_map(|consumer| owner(consumer).2));
        for (table, column, names) in [
            ("projects", "external_id", &projects),
            ("users", "external_id", &users),
            ("consumer_types", "name", &types),
        ] {
            let columns = format!("{table} (id, {column})");
            let mut insert = Insert::into(out, &columns);
            for (name, id) in names {
                insert.row(format_args!("{id}, {}", text(name)))?;
            }
            insert.end()?;
        }
        let mut insert = Insert::into(
            out,
            "consumers (created_at, updated_at, uuid, project_id, user_id, generation, consumer_type_id)",
        );
        for consumer in &self.consumers {
            let (project, user, kind) = owner(consumer);
            let kind = kind.map_or_else(|| "NULL".to_owned(), |kind| types[kind].to_string());
            let ConsumerRecord { uuid, generation, .. } = consumer;
            let at = time(consumer.written_at);
            let (project, user) = (projects[project], users[user]);
            insert.row(format_args!("{at}, {at}, '{uuid}', {project}, {user}, {generation}, {kind}"))?;
        }
        insert.end()?;
        self.write_allocations(out)
    }

    fn write_allocations(&self, out: &mut impl Write) -> io::Result<()> {
        let mut insert = Insert::into(
            out,
            "allocations (created_at, resource_provider_id, consumer_id, resource_class_id, used)",
        );
        for consumer in &self.consumers {
            let (uuid, at) = (consumer.uuid, time(consumer.written_at));
            for held in &consumer.allocations {
                let (provider, class) = (self.provider_ids[&held.provider], class_id(&held.class));
                insert.row(format_args!("{at}, {provider}, '{uuid}', {class}, {}", held.amount))?;
            }
        }
        insert.end()
    }
}

/// Rows of one table, many in a statement.
struct Insert<'a, W> {
    out: &'a mut W,
    into: &'a str,
    rows: usize,
}

impl<'a, W: Write> Insert<'a, W> {
    fn into(out: &'a mut W, into: &'a str) -> Self {
        Self { out, into, rows: 0 }
    }

    fn row(&mut self, values: std::fmt::Arguments<'_>) -> io::Result<()> {
        match self.rows % BATCH {
            0 => {
                let end = if self.rows == 0 { "" } else { ";\n" };
                write!(self.out, "{end}INSERT INTO {} VALUES\n({values})", self.into)?;
            }
            _ => write!(self.out, ",\n({values})")?,
        }
        self.rows += 1;
        Ok(())
    }

    fn end(self) -> io::Result<()> {
        if self.rows > 0 { writeln!(self.out, ";") } else { Ok(()) }
    }
}

/// Classes with their ids. By its id, Placement distinguishes a standard class from a custom one;
/// the id of a standard class is its position in the list of standard classes.
fn numbered_classes(classes: Vec<NameRecord>) -> Vec<(usize, NameRecord)> {
    let is_custom = |class: &NameRecord| class.name.starts_with(CUSTOM_PREFIX);
    let (custom, standard): (Vec<_>, Vec<_>) = classes.into_iter().partition(is_custom);
    let place = |class: &NameRecord| CLASSES.iter().position(|&known| known == &*class.name);
    let (known, unknown): (Vec<_>, Vec<_>) = standard.into_iter().partition(|class| place(class).is_some());
    let known = known.into_iter().filter_map(|class| Some((place(&class)?, class)));
    known.chain((CLASSES.len()..).zip(unknown)).chain((FIRST_CUSTOM_CLASS..).zip(custom)).collect()
}

/// Inserts a row if its name does not exist yet.
fn insert_new(out: &mut impl Write, table: &str, columns: &str, values: &str, name: &str) -> io::Result<()> {
    writeln!(
        out,
        "INSERT INTO {table} ({columns}) SELECT {values} FROM (SELECT 1 AS one) AS one \
         WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE name = {name});"
    )
}

fn is_wanted(name: &str, used: &BTreeSet<Arc<str>>) -> bool {
    name.starts_with(CUSTOM_PREFIX) || used.contains(name)
}

/// How deep each provider stands in its tree.
fn depths(providers: &[ProviderRecord]) -> BTreeMap<Uuid, usize> {
    let parents: BTreeMap<Uuid, Option<Uuid>> =
        providers.iter().map(|provider| (provider.uuid, provider.parent)).collect();
    let above = |uuid: &Uuid| parents.get(uuid).copied().flatten();
    let depth = |uuid: Uuid| std::iter::successors(above(&uuid), above).count();
    providers.iter().map(|provider| (provider.uuid, depth(provider.uuid))).collect()
}

fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let names: BTreeSet<&str> = names.collect();
    names.into_iter().zip(1..).collect()
}

/// A consumer's project, user and type.
fn owner(consumer: &ConsumerRecord) -> (&str, &str, Option<&str>) {
    match consumer.owner.as_deref() {
        Some(Owner { project, user, consumer_type }) => (project, user, consumer_type.as_deref()),
        None => (NOBODY, NOBODY, None),
    }
}

/// A class's id. The list of standard ones may be in another order there.
fn class_id(class: &str) -> String {
    format!("(SELECT id FROM resource_classes WHERE name = {})", text(class))
}

fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn time(at: Timestamp) -> String {
    format!("'{}'", utc::for_database(at))
}
