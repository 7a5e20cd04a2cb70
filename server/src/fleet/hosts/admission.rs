//! Which hosts may join, and what belongs to each.
//!
//! A host is a name and a UUID that belong together for as long as the host is known. Somebody has to vouch for that when an
//! agent comes for the first time: an operator who approved the host, or the issuer of a certificate with both in it. After
//! that the agent may write the providers that it made itself, and no others. Its word alone never takes a name or a UUID from
//! a host that somebody vouched for.

use berth_api::host_name;
use berth_placement::{Index, Row, Writer};
use uuid::Uuid;

use crate::fleet::Fleet;
use crate::fleet::entry::Host;
use crate::fleet::error::FleetError;
use crate::fleet::state::State;
use crate::service::now;

/// The refusal of a host for which nobody has vouched.
const NOT_APPROVED: &str = "NOT_APPROVED";

impl Fleet {
    /// Admits a host: the agent with this name and UUID may join from now on. That it is known already is no error.
    pub(crate) fn approve_host(&self, name: &str, uuid: Uuid) -> Result<(), FleetError> {
        let mut writer = self.index.write_at(now());
        self.transact(|fleet| {
            if is_known(fleet.state, name, uuid)? {
                return Ok(());
            }
            check_new_name("name", name, fleet.state)?;
            make_way(&self.index, &mut writer, fleet.state, (name, uuid))?;
            let host = Host { name: name.to_owned(), uuid: uuid.into_bytes().to_vec(), ..Host::default() };
            fleet.put_host(host);
            Ok(())
        })
    }

    /// Admits the host of an agent that has introduced itself, if it is known or somebody has vouched for it.
    pub(super) fn admit(&self, name: &str, uuid: Uuid, has_voucher: bool) -> Result<(), FleetError> {
        if is_known(&self.state(), name, uuid)? {
            return Ok(());
        }
        check_new_name("hello.host", name, &self.state())?;
        if has_voucher || self.options.trust_on_first_use {
            return self.approve_host(name, uuid);
        }
        let message = format!(
            "host {name:?} with the UUID {uuid} is not approved; an operator approves it with: \
             berth host approve {name} --uuid {uuid}"
        );
        Err(FleetError::precondition(NOT_APPROVED, message))
    }
}

/// Whether the host has both, the name and the UUID. Neither may be another's.
fn is_known(state: &State, name: &str, uuid: Uuid) -> Result<bool, FleetError> {
    let known = state.hosts.get(name);
    if let Some(known) = known.filter(|known| known.uuid() != uuid) {
        return Err(other_host(format!("host {name:?} has the UUID {}, not {uuid}", known.uuid())));
    }
    match state.host_name(uuid).filter(|other| *other != name) {
        Some(other) => Err(other_host(format!("the UUID {uuid} is that of host {other:?}"))),
        None => Ok(known.is_some()),
    }
}

/// Checks the name of a host that is not known. One that is known goes on, whatever its name: its instances need it.
fn check_new_name(field: &str, name: &str, state: &State) -> Result<(), FleetError> {
    host_name::check(name).map_err(|invalid| FleetError::field(field, invalid.to_string()))?;
    // `ignore_hosts` takes names for the same that differ only in case, as Nova does.
    match state.hosts.keys().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => {
            Err(other_host(format!("host {name:?} differs only in the case of letters from host {known:?}")))
        }
        None => Ok(()),
    }
}

/// Frees the name and the UUID of a host that is admitted, where another host's agent has taken them for a child provider. What
/// anybody else made with them stays, and the host cannot be admitted.
fn make_way(
    index: &Index,
    writer: &mut Writer<'_>,
    state: &State,
    (name, uuid): (&str, Uuid),
) -> Result<(), FleetError> {
    if let Some(row) = index.find(uuid) {
        let maker = Maker::of(writer, state, row);
        if !matches!(maker, Maker::Agent(_)) || !remove(writer, row) {
            return Err(taken(&format!("the UUID {uuid}"), &maker));
        }
        tracing::warn!(host = name, %uuid, "a provider of another host had the UUID of this one and was removed");
    }
    if !reclaim(index, writer, state, name, name) {
        let maker = index.find_named(name).map_or(Maker::Others, |row| Maker::of(writer, state, row));
        return Err(taken(&format!("the name {name:?}"), &maker));
    }
    Ok(())
}

fn taken(what: &str, maker: &Maker<'_>) -> FleetError {
    let whose = match maker {
        Maker::Agent(host) => format!("in the tree of host {host:?}"),
        Maker::Others => "that no agent made".to_owned(),
    };
    other_host(format!("{what} is that of a resource provider {whose}; delete it first"))
}

/// Removes a provider and all below it; returns whether that could be done.
fn remove(writer: &mut Writer<'_>, row: Row) -> bool {
    let rows = writer.topology().subtree(row);
    // Children stand behind their parents.
    rows.into_iter().rev().all(|row| writer.remove_provider(row).is_ok())
}

/// Who made a provider.
enum Maker<'a> {
    /// The agent of this host, as a child of its root.
    Agent(&'a str),
    /// Somebody else.
    Others,
}

impl<'a> Maker<'a> {
    fn of(writer: &Writer<'_>, state: &'a State, row: Row) -> Self {
        let topology = writer.topology();
        let provider = topology.provider(row).filter(|provider| provider.root != row);
        let host = provider.and_then(|provider| {
            let root = topology.provider(provider.root)?.uuid;
            let host = state.hosts.get(state.host_name(root)?)?;
            host.has_made(provider.uuid).then_some(host)
        });
        host.map_or(Self::Others, |host| Self::Agent(&host.name))
    }
}

/// Gives a provider that has somebody else's name its UUID for a name.
fn evict(writer: &mut Writer<'_>, row: Row) -> bool {
    let Some(uuid) = writer.topology().provider(row).map(|provider| provider.uuid) else { return false };
    let is_free = writer.rename_provider(row, &uuid.to_string()).is_ok();
    if is_free {
        tracing::warn!(provider = %uuid, "a child provider had a name of another host and has lost it");
    }
    is_free
}

/// Frees a name that a host wants for a provider of its own, if it is one of its names and the agent of a host took it of which
/// it is none. Returns whether it is free.
pub(super) fn reclaim(index: &Index, writer: &mut Writer<'_>, state: &State, host: &str, name: &str) -> bool {
    let Some(row) = index.find_named(name) else { return true };
    match Maker::of(writer, state, row) {
        Maker::Agent(other) => is_name_of(host, name) && !is_name_of(other, name) && evict(writer, row),
        Maker::Others => false,
    }
}

/// Whether a name is the host's own: `compute-1`, or something behind it such as `compute-1_numa_0`; not `compute-10`.
fn is_name_of(host: &str, name: &str) -> bool {
    let behind = name.strip_prefix(host);
    behind.is_some_and(|behind| !behind.starts_with(|c: char| c.is_alphanumeric()))
}

fn other_host(message: String) -> FleetError {
    FleetError::precondition("OTHER_HOST", message)
}

impl Host {
    /// Whether its agent made the provider.
    pub(super) fn has_made(&self, provider: Uuid) -> bool {
        self.providers.iter().any(|known| known.uuid() == provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_host_begin_with_its_name() {
        for name in ["compute-1", "compute-1_numa_0", "compute-1_0000:81:00.0", "compute-1-gpu"] {
            assert!(is_name_of("compute-1", name), "{name}");
        }
        for name in ["compute-10", "compute-10_numa_0", "compute", "x_compute-1", ""] {
            assert!(!is_name_of("compute-1", name), "{name}");
        }
    }
}
