//! Maps hosts to providers of the index. Hosts and providers are numbered independently; UUIDs
//! connect them.

use std::collections::BTreeSet;

use berth_placement::{Row, View};
use rustc_hash::FxHashMap;
use uuid::Uuid;

use crate::hosts::{HostRow, HostTable};

/// The providers of hosts, and the hosts of providers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    /// The provider of each host.
    places: Vec<Option<Row>>,
    hosts: FxHashMap<Row, HostRow>,
    /// Hosts whose provider is not a root.
    nested: BTreeSet<HostRow>,
    /// Whether a provider in a host's tree is a sharing provider.
    shares: bool,
    /// How often hosts had changed their provider when this was computed.
    moves: u64,
}

impl Places {
    pub(super) fn new(hosts: &HostTable, view: &View) -> Self {
        let mut places = Self {
            places: vec![None; hosts.len()],
            hosts: FxHashMap::default(),
            nested: BTreeSet::new(),
            shares: false,
            moves: hosts.provider_moves(),
        };
        for (place, provider) in view.topology().providers() {
            if let Some(host) = host_of(hosts, provider.uuid) {
                places.put(host, place, provider.parent.is_some());
            }
        }
        places.follow_sharing(view);
        places
    }

    /// The host's provider.
    #[inline]
    pub(super) fn of(&self, host: HostRow) -> Option<Row> {
        *self.places.get(host.index())?
    }

    /// Hosts with their providers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (HostRow, Row)> {
        (0..).map(HostRow).zip(&self.places).filter_map(|(host, place)| Some((host, (*place)?)))
    }

    /// The host of a provider.
    #[inline]
    pub(super) fn host_at(&self, place: Row) -> Option<HostRow> {
        self.hosts.get(&place).copied()
    }

    /// Whether some host has changed its provider since.
    pub(super) const fn are_outdated(&self, hosts: &HostTable) -> bool {
        self.moves != hosts.provider_moves()
    }

    /// How often hosts had changed their provider when this was computed.
    pub(super) const fn moves(&self) -> u64 {
        self.moves
    }

    /// Whether a host can appear in candidates of trees other than its own.
    pub(super) fn are_tangled(&self) -> bool {
        !self.nested.is_empty() || self.shares
    }

    /// Applies a change of a provider's row or position in its tree.
    pub(super) fn follow(&mut self, hosts: &HostTable, view: &View, place: Row) {
        let known = self.host_at(place);
        let provider = view.topology().provider(place);
        let host = provider.and_then(|provider| host_of(hosts, provider.uuid));
        if let Some(known) = known {
            self.remove(known, place);
        }
        if let (Some(host), Some(provider)) = (host, provider) {
            self.put(host, place, provider.parent.is_some());
        }
    }

    /// Recomputes which providers share.
    pub(super) fn follow_sharing(&mut self, view: &View) {
        let topology = view.topology();
        let is_of_host = |row: u32| {
            let root = topology.provider(Row(row)).map(|provider| provider.root);
            root.is_some_and(|root| self.hosts.contains_key(&root))
        };
        self.shares = topology.sharing().is_some_and(|rows| rows.iter().any(is_of_host));
    }

    fn put(&mut self, host: HostRow, place: Row, is_nested: bool) {
        self.places[host.index()] = Some(place);
        self.hosts.insert(place, host);
        if is_nested {
            self.nested.insert(host);
        }
    }

    fn remove(&mut self, host: HostRow, place: Row) {
        self.hosts.remove(&place);
        // The host may have another provider by now.
        if self.places[host.index()] == Some(place) {
            self.places[host.index()] = None;
            self.nested.remove(&host);
        }
    }
}

fn host_of(hosts: &HostTable, provider: Uuid) -> Option<HostRow> {
    hosts.row_of(provider)
}
