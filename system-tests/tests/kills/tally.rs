//! What a client knows of what it asked for, and what there has to be therefore.

use std::collections::{BTreeMap, BTreeSet};

use berth_system_tests::books::Books;

/// Instances that were asked for in one request.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// Unlike all others; the request's idempotency key as well.
    pub(crate) name: String,
    pub(crate) count: u32,
    pub(crate) apart: bool,
}

/// What may have become of an instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fate {
    /// In which status it may come to rest.
    pub(crate) statuses: BTreeSet<&'static str>,
    /// Whether its deletion was asked for, and whether that was answered.
    pub(crate) deletion: Deletion,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Deletion {
    #[default]
    None,
    Asked,
    Answered,
}

/// What one client knows.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Not answered yet.
    pub(crate) order: Option<Order>,
    pub(crate) instances: BTreeMap<String, Fate>,
    pub(crate) answers: u64,
    /// How often an instance came to rest as a guest that runs.
    pub(crate) running: u64,
    /// How often one came to rest on another host, with its former disks set aside.
    pub(crate) moved: u64,
}

pub(crate) const STATUSES: [&str; 7] =
    ["ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED", "SHELVED_OFFLOADED", "VERIFY_RESIZE", "ERROR"];

impl Tally {
    pub(crate) fn add(&mut self, uuid: String) {
        let statuses = ["ACTIVE", "ERROR"].into();
        self.instances.insert(uuid, Fate { statuses, deletion: Deletion::None });
    }

    /// Returns contradictions to the client's responses, and resolves open outcomes to the observed
    /// state.
    pub(crate) fn settle(&mut self, books: &Books) -> Vec<String> {
        let found: BTreeMap<&str, &str> =
            books.instances.iter().map(|one| (one.uuid.as_str(), one.status.as_str())).collect();
        let mut wrong = Vec::new();
        self.instances.retain(|uuid, fate| match (found.get(uuid.as_str()), fate.deletion) {
            (None, Deletion::None) => {
                wrong.push(format!("{uuid} was acknowledged and does not exist: {fate:?}"));
                false
            }
            (None, _) => false,
            (Some(_), Deletion::Answered) => {
                wrong.push(format!("{uuid} was deleted and exists"));
                true
            }
            (Some(status), _) => {
                let known = STATUSES.into_iter().find(|known| known == status);
                match known.filter(|known| fate.statuses.contains(known)) {
                    Some(known) => fate.statuses = [known].into(),
                    None => wrong.push(format!("{uuid} is {status}, not {fate:?}")),
                }
                fate.deletion = Deletion::None;
                self.running += u64::from(*status == "ACTIVE");
                self.moved += u64::from(*status == "VERIFY_RESIZE");
                true
            }
        });
        wrong
    }
}
