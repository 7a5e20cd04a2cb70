//! How a decider follows its source, and its behaviour when it cannot.

use std::cell::RefCell;
use std::collections::BTreeSet;

use uuid::Uuid;

use super::*;
use crate::AggregateRecord;
use crate::filters::FilterName;
use crate::hosts::HostRecord;
use crate::python::Value;

/// A fleet of empty hosts.
#[derive(Default)]
struct Hosts {
    records: RefCell<Vec<HostRecord>>,
    changes: RefCell<HostChanges>,
}

fn host(name: &str, number: u128) -> HostRecord {
    HostRecord::new(name, name, Uuid::from_u128(number))
}

impl HostSource for Hosts {
    fn changes(&self) -> HostChanges {
        self.changes.take()
    }

    fn all(&self) -> (Vec<HostRecord>, Vec<AggregateRecord>) {
        (self.records.borrow().clone(), Vec::new())
    }

    fn some(&self, hosts: &BTreeSet<String>) -> Vec<HostRecord> {
        let records = self.records.borrow();
        records.iter().filter(|record| hosts.contains(&record.host)).cloned().collect()
    }
}

fn pipeline(hosts: &Hosts) -> Pipeline {
    hosts.records.borrow_mut().push(host("h1", 1));
    let mut pipeline = Pipeline::new(Arc::new(Index::default()), Options::default(), Preference::Weighers);
    pipeline.follow(hosts, 0).unwrap();
    pipeline
}

fn known(pipeline: &Pipeline) -> usize {
    pipeline.hosts().map_or(0, HostTable::len)
}

#[test]
fn changes_that_could_not_be_applied_are_applied_later() {
    let hosts = Hosts::default();
    let mut pipeline = pipeline(&hosts);
    hosts.changes.borrow_mut().layout = true;
    hosts.records.borrow_mut().push(HostRecord { stats: Value::Int(1), ..host("h2", 2) });
    let error = pipeline.follow(&hosts, 0).unwrap_err().to_string();
    assert_eq!(error, "host h2, node h2: stats: is not a map");
    assert_eq!(known(&pipeline), 1);
    hosts.records.borrow_mut()[1] = host("h2", 2);
    pipeline.follow(&hosts, 0).unwrap();
    assert_eq!(known(&pipeline), 2);
}

#[test]
fn an_unknown_host_makes_the_decider_load_all_hosts() {
    let hosts = Hosts::default();
    let mut pipeline = pipeline(&hosts);
    hosts.changes.borrow_mut().hosts.insert("h2".to_owned());
    hosts.records.borrow_mut().push(host("h2", 2));
    pipeline.follow(&hosts, 0).unwrap();
    assert_eq!(known(&pipeline), 2);
}

#[test]
fn hosts_that_no_filter_removed_had_no_candidate() {
    let ram = (Step::Filter(FilterName::RamFilter), 0);
    let compute = (Step::Filter(FilterName::ComputeFilter), 3);
    let no_host = |error| NoHost { error, removed: vec![ram, compute], hosts: 5 };
    let none = no_host(SelectError::NoValidHost { placed: 0, wanted: 1 });
    assert_eq!(none.counts(), [("placement".to_owned(), 2), ("ComputeFilter".to_owned(), 3)]);
    assert_eq!(no_host(SelectError::Outrun { attempts: 16 }).counts(), [("ComputeFilter".to_owned(), 3)]);
}
