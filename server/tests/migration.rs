//! What a real Placement 16.0.0 on SQLite printed is carried over, and back through SQLite's own
//! client where there is one. `cargo xtask migration` does it with running services.

use std::io::Write;
use std::process::{Command, Stdio};

use berth_placement::{Index, Record, RestoreError};
use berth_server::migrate::{Dialect, read_dump, write_script};
use berth_store::{Digest, Summary};
use berth_test_support::skip::skip;
use tempfile::TempDir;

/// Made by `run_migration.py --record server/tests/migration --steps 60`.
const DUMP: &str = include_str!("migration/placement-16.jsonl");
const SCHEMA: &str = include_str!("migration/placement-16.sql");

fn digest(records: &[Record]) -> (Summary, String) {
    let mut digest = Digest::default();
    records.iter().for_each(|record| digest.add(record));
    digest.finish()
}

fn restored(records: Vec<Record>) -> Index {
    Index::restore(records.into_iter().map(Ok::<_, RestoreError>)).unwrap()
}

fn records(index: &Index) -> Vec<Record> {
    index.snapshot().records().collect()
}

#[test]
fn a_dump_becomes_an_index_with_everything() {
    let dumped = read_dump(DUMP.as_bytes()).unwrap();
    let index = restored(dumped.clone());
    index.check().unwrap();
    assert_eq!(digest(&records(&index)), digest(&dumped));
    let (summary, _) = digest(&dumped);
    let rows = |name: &str| DUMP.lines().filter(|line| line.starts_with(&format!("[\"{name}\","))).count();
    assert_eq!(summary.providers, rows("provider"));
    assert_eq!(summary.inventories, rows("inventory"));
    assert_eq!(summary.provider_traits, rows("provider_trait"));
    assert_eq!(summary.provider_aggregates, rows("provider_aggregate"));
    assert_eq!(summary.allocations, rows("allocation"));
    assert!(summary.consumers > 4 && summary.consumers <= rows("consumer"));
}

/// Every field counts, but for times and the order of things.
#[test]
fn the_digest_sees_every_difference() {
    let dumped = read_dump(DUMP.as_bytes()).unwrap();
    let whole = digest(&dumped);
    let mut turned = dumped.clone();
    turned.reverse();
    assert_eq!(digest(&turned), whole);
    for place in 0..dumped.len() {
        let mut changed = dumped.clone();
        match &mut changed[place] {
            Record::Class(name) | Record::Trait(name) if name.name.starts_with("CUSTOM_") => {
                name.name = format!("{}_", name.name).into();
            }
            Record::Class(_) | Record::Trait(_) => continue,
            Record::Provider(provider) => provider.generation += 1,
            Record::Consumer(consumer) => consumer.generation += 1,
        }
        assert_ne!(digest(&changed).1, whole.1, "{:?}", dumped[place]);
    }
}

#[test]
fn what_is_missing_is_noticed() {
    let error = |dump: &str| read_dump(dump.as_bytes()).expect_err("something is wrong").to_string();
    let without = |name: &str| {
        let start = format!("[\"{name}\",");
        let mut left = true;
        let lines = DUMP.lines().filter(|line| !(line.starts_with(&start) && std::mem::take(&mut left)));
        lines.collect::<Vec<_>>().join("\n")
    };
    for (name, said) in [
        ("allocation", "rows of allocations"),
        ("inventory", "rows of inventories"),
        ("provider_trait", "rows of resource_provider_traits"),
        ("provider_aggregate", "rows of resource_provider_aggregates"),
        ("consumer", "rows of consumers"),
        ("class", "no resource class with id"),
        ("provider", "no resource provider with id"),
        ("end", "last line is missing"),
    ] {
        assert!(error(&without(name)).contains(said), "{name}: {}", error(&without(name)));
    }
    assert!(error("[\"pony\", 1]\n").contains("line 1: there are no rows called \"pony\""));
    assert!(error("nothing\n").starts_with("line 1"));
    assert!(error(&format!("{DUMP}{DUMP}")).contains("follows the last line"));
    let ownerless = "[\"class\",1,\"VCPU\",null]\n[\"provider\",1,\"00000000-0000-0000-0000-000000000001\",\"p\",0,null,null]\n\
        [\"allocation\",\"00000000-0000-0000-0000-000000000002\",1,1,1]\n[\"end\",1,0,1,0,0,0,0,1]\n";
    assert!(error(ownerless).contains("no such consumer"));
}

/// Every dialect reads all tables and writes all of them in one transaction.
#[test]
fn queries_and_scripts_are_whole() {
    let dumped = read_dump(DUMP.as_bytes()).unwrap();
    let tables = [
        "resource_classes",
        "traits",
        "resource_providers",
        "inventories",
        "resource_provider_traits",
        "resource_provider_aggregates",
        "consumers",
        "allocations",
    ];
    for dialect in [Dialect::Mysql, Dialect::Postgresql, Dialect::Sqlite] {
        let query = dialect.query();
        assert!(!query.contains(['{', '}']), "{query}");
        assert!(tables.iter().all(|table| query.contains(&format!("COUNT(*) FROM {table})"))));
        let mut script = Vec::new();
        write_script(&mut script, dialect, dumped.clone()).unwrap();
        let script = String::from_utf8(script).unwrap();
        assert!(tables.iter().all(|table| script.contains(&format!("INSERT INTO {table} ("))), "{script}");
        assert!(script.contains("BEGIN;") || script.contains("START TRANSACTION;"));
        assert!(script.ends_with("COMMIT;\n"));
    }
}

/// The script, run by `sqlite3` on an empty database with Placement's tables, gives a database that
/// dumps the same.
#[test]
fn the_way_back_ends_where_it_began() {
    if Command::new("sqlite3").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skip("there is no sqlite3 here; `cargo xtask migration` does not need it");
    }
    let directory = TempDir::new().unwrap();
    let database = directory.path().join("placement.db");
    let run = |script: &str| {
        let mut client = Command::new("sqlite3");
        client.arg(&database).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = client.spawn().unwrap();
        client.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let index = restored(read_dump(DUMP.as_bytes()).unwrap());
    let mut script = Vec::new();
    write_script(&mut script, Dialect::Sqlite, records(&index)).unwrap();
    let script = String::from_utf8(script).unwrap();
    run(SCHEMA);
    for turn in ["into an empty database", "over an existing state"] {
        run(&script);
        let again = read_dump(run(&Dialect::Sqlite.query()).as_bytes()).unwrap();
        assert_eq!(digest(&again), digest(&records(&index)), "{turn}");
    }
}
