//! Which hosts may join, and which providers belong to each.
//!
//! A host is a name and a UUID that belong together for as long as the host is known. When an agent
//! joins for the first time, an operator has to have approved the host, or the issuer of a
//! certificate that contains both. After that, the agent may write the providers that it created
//! itself, and no others. An agent alone never takes a name or a UUID from another host, whether an
//! agent or nova-compute will come with it: the names and UUIDs of children follow from those of
//! their host.

use berth_placement::{Index, Row, Writer};
use uuid::Uuid;

use super::{Host, ReportedProvider};
use crate::Fleet;
use crate::error::FleetError;
use crate::state::State;

/// The reason of a refused host that was not approved.
const NOT_APPROVED: &str = "NOT_APPROVED";

/// The rule for the names of hosts, which service, agents and readers of certificates share; an
/// error says what is wrong.
pub type HostNameRule = fn(&str) -> Result<(), String>;

impl Fleet {
    /// Approves a host: the agent with this name and UUID may join from now on. A host that is
    /// known already is no error.
    ///
    /// # Errors
    /// An invalid name, or a name or UUID of another host or provider.
    pub fn approve_host(
        &mut self,
        writer: &mut Writer<'_>,
        (name, rule): (&str, HostNameRule),
        uuid: Uuid,
    ) -> Result<(), FleetError> {
        if is_known(&self.state, name, uuid)? {
            return Ok(());
        }
        check_new_name("name", (name, rule), &self.state)?;
        make_way(&self.index, writer, &self.state, (name, uuid))?;
        self.state.put_host(Host { name: name.to_owned(), uuid, ..Host::default() });
        Ok(())
    }

    /// Whether the host is known.
    ///
    /// # Errors
    /// A name or UUID of another host.
    pub fn knows_host(&self, name: &str, uuid: Uuid) -> Result<bool, FleetError> {
        is_known(&self.state, name, uuid)
    }

    /// Admits the host of an agent, if it is known or approved. `has_voucher`: its certificate
    /// names the host and its UUID.
    ///
    /// # Errors
    /// As [`Self::approve_host`], or a host that is not approved.
    pub fn admit(
        &mut self,
        writer: &mut Writer<'_>,
        (name, rule): (&str, HostNameRule),
        uuid: Uuid,
        has_voucher: bool,
    ) -> Result<(), FleetError> {
        if is_known(&self.state, name, uuid)? {
            return Ok(());
        }
        check_new_name("hello.host", (name, rule), &self.state)?;
        if has_voucher || self.options.trust_on_first_use {
            return self.approve_host(writer, (name, rule), uuid);
        }
        let message = format!(
            "host {name:?} with the UUID {uuid} is not approved; an operator approves it with: \
             berth host approve {name} --uuid {uuid}"
        );
        Err(FleetError::precondition(NOT_APPROVED, message))
    }
}

impl Fleet {
    /// Frees a name for a provider that no agent creates: a child provider of an agent that has it
    /// gets its UUID as its name. Returns whether there was one.
    ///
    /// What callers with the right to create providers name is theirs: a host `compute_7` that is
    /// managed without an agent is not kept out by a child of the host `compute`.
    pub fn yield_name(&self, writer: &mut Writer<'_>, name: &str) -> bool {
        let Some(row) = self.index.find_named(name) else { return false };
        matches!(Creator::of(writer, &self.state, row), Creator::Agent(_)) && evict(writer, row)
    }
}

/// Whether the host is known. Neither its name nor its UUID may belong to another.
fn is_known(state: &State, name: &str, uuid: Uuid) -> Result<bool, FleetError> {
    let known = state.hosts.get(name);
    if let Some(known) = known.filter(|known| known.uuid != uuid) {
        return Err(other_host(format!("host {name:?} has the UUID {}, not {uuid}", known.uuid)));
    }
    match state.host_name(uuid).filter(|other| *other != name) {
        Some(other) => Err(other_host(format!("the UUID {uuid} is that of host {other:?}"))),
        None => Ok(known.is_some()),
    }
}

/// Checks the name of an unknown host. A known host keeps its name, since its instances need it.
fn check_new_name(field: &str, (name, rule): (&str, HostNameRule), state: &State) -> Result<(), FleetError> {
    rule(name).map_err(|problem| FleetError::field(field, problem))?;
    // `ignore_hosts` does not distinguish case, as in Nova.
    match state.hosts.keys().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => {
            Err(other_host(format!("host {name:?} differs only in the case of letters from host {known:?}")))
        }
        None => Ok(()),
    }
}

/// Frees the name and the UUID of a new host, where another host's agent uses them for a child
/// provider. A provider that was not created by an agent stays, and then the host cannot be
/// approved.
fn make_way(
    index: &Index,
    writer: &mut Writer<'_>,
    state: &State,
    (name, uuid): (&str, Uuid),
) -> Result<(), FleetError> {
    if let Some(row) = index.find(uuid) {
        let creator = Creator::of(writer, state, row);
        if !matches!(creator, Creator::Agent(_)) || !remove(writer, row) {
            return Err(taken(&format!("the UUID {uuid}"), &creator));
        }
        tracing::warn!(host = name, %uuid, "a provider of another host had the UUID of this one and was removed");
    }
    if !reclaim(index, writer, state, (name, name), |_| false) {
        let creator = index.find_named(name).map_or(Creator::Others, |row| Creator::of(writer, state, row));
        return Err(taken(&format!("the name {name:?}"), &creator));
    }
    Ok(())
}

fn taken(what: &str, creator: &Creator<'_>) -> FleetError {
    let whose = match creator {
        Creator::Agent(host) => format!("in the tree of host {host:?}"),
        Creator::Others => "that no agent made".to_owned(),
    };
    other_host(format!("{what} is that of a resource provider {whose}; delete it first"))
}

/// Removes a provider and its descendants; returns whether that was possible.
fn remove(writer: &mut Writer<'_>, row: Row) -> bool {
    let rows = writer.topology().subtree(row);
    // Children come after their parents.
    rows.into_iter().rev().all(|row| writer.remove_provider(row).is_ok())
}

/// The creator of a provider.
enum Creator<'a> {
    /// The agent of this host, as a child of its root.
    Agent(&'a str),
    /// Not an agent.
    Others,
}

impl<'a> Creator<'a> {
    fn of(writer: &Writer<'_>, state: &'a State, row: Row) -> Self {
        let topology = writer.topology();
        let provider = topology.provider(row).filter(|provider| provider.root != row);
        let host = provider.and_then(|provider| {
            let root = topology.provider(provider.root)?.uuid;
            let host = state.hosts.get(state.host_name(root)?)?;
            host.has_created(provider.uuid).then_some(host)
        });
        host.map_or(Self::Others, |host| Self::Agent(&host.name))
    }
}

/// Renames a provider that uses a name of another host: its name becomes its UUID.
fn evict(writer: &mut Writer<'_>, row: Row) -> bool {
    let Some(uuid) = writer.topology().provider(row).map(|provider| provider.uuid) else { return false };
    let is_free = writer.rename_provider(row, &uuid.to_string()).is_ok();
    if is_free {
        tracing::warn!(provider = %uuid, "a child provider had a name that another provider gets, and has lost it");
    }
    is_free
}

/// Frees a name for a provider of a host, if it is one of the host's names and an agent uses it for
/// a child: one of another host (from before the rules of [`check_child`], or of a host whose name
/// begins this host's name), or one that `leaves`. Returns whether the name is free.
pub(super) fn reclaim(
    index: &Index,
    writer: &mut Writer<'_>,
    state: &State,
    (host, name): (&str, &str),
    leaves: impl Fn(Uuid) -> bool,
) -> bool {
    let Some(row) = index.find_named(name) else { return true };
    let Some(uuid) = writer.topology().provider(row).map(|provider| provider.uuid) else { return true };
    let yields = match Creator::of(writer, state, row) {
        Creator::Agent(other) if other == host => leaves(uuid),
        Creator::Agent(other) => !is_name_of(other, name) || other.len() < host.len(),
        Creator::Others => false,
    };
    yields && is_name_of(host, name) && evict(writer, row)
}

/// Whether a name belongs to the host: `compute-1`, or with a suffix such as `compute-1_numa_0`;
/// not `compute-10` or `compute-1-2`. DNS names have no underscores, so this is the name of no
/// other host, as a rule.
fn is_name_of(host: &str, name: &str) -> bool {
    let suffix = name.strip_prefix(host);
    suffix.is_some_and(|suffix| suffix.is_empty() || suffix.starts_with('_'))
}

/// Checks the name and the UUID of a new provider of a host. The root has those of the host. A
/// child has the host's name with a suffix that begins with an underscore, and the UUID (version 5)
/// of the host's UUID and that suffix.
pub(super) fn check_child(
    state: &State,
    host: &Host,
    place: usize,
    provider: &ReportedProvider,
) -> Result<(), FleetError> {
    let ReportedProvider { uuid, name, .. } = provider;
    if *uuid == host.uuid {
        let is_good = *name == host.name;
        return is_good.then_some(()).ok_or_else(|| {
            FleetError::field(
                format!("providers[{place}].name"),
                format!("is {name:?}; the root has the name of the host, {:?}", host.name),
            )
        });
    }
    let suffix = name.strip_prefix(&host.name).filter(|suffix| suffix.starts_with('_') && suffix.len() > 1);
    let Some(suffix) = suffix else {
        let problem = format!("is {name:?}; the name of a child begins with \"{}_\"", host.name);
        return Err(FleetError::field(format!("providers[{place}].name"), problem));
    };
    if let Some(other) = closest_host(state, host, name) {
        let problem = format!("is {name:?}, which is a name of host {other:?}");
        return Err(FleetError::field(format!("providers[{place}].name"), problem));
    }
    let expected = Uuid::new_v5(&host.uuid, suffix.as_bytes());
    if *uuid != expected {
        let problem = format!(
            "is {uuid}; a child has the UUID (version 5) of {} and {suffix:?}, {expected}",
            host.uuid
        );
        return Err(FleetError::field(format!("providers[{place}].uuid"), problem));
    }
    Ok(())
}

/// Another host to which the name belongs, with a longer name than this one.
fn closest_host<'a>(state: &State, host: &Host, name: &'a str) -> Option<&'a str> {
    let prefixes = name.match_indices('_').map(|(end, _)| &name[..end]).chain([name]);
    let mut longer = prefixes.filter(|prefix| prefix.len() > host.name.len());
    longer.find(|prefix| state.hosts.contains_key(*prefix))
}

fn other_host(message: String) -> FleetError {
    FleetError::precondition("OTHER_HOST", message)
}

impl Host {
    /// Whether its agent created the provider.
    pub(super) fn has_created(&self, provider: Uuid) -> bool {
        self.providers.iter().any(|known| known.uuid == provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_host_begin_with_its_name() {
        for name in ["compute-1", "compute-1_numa_0", "compute-1_0000:81:00.0"] {
            assert!(is_name_of("compute-1", name), "{name}");
        }
        for name in [
            "compute-10",
            "compute-1-gpu",
            "compute-1.example",
            "compute-10_numa_0",
            "compute",
            "x_compute-1",
            "",
        ] {
            assert!(!is_name_of("compute-1", name), "{name}");
        }
    }
}
