//! Disks on their way between hosts.
//!
//! ```text
//!   target's agent                                         source's agent
//!   step Fetch ── hypervisor ◄── Incoming ◄── gRPC ◄── DiskServer ◄── hypervisor.export
//!                                  ticket ──────────────► Offers ◄──── desired state (OFFER)
//! ```
//!
//! The source sets the disks of a guest aside under the UUID of its migration, and offers them as
//! long as the service's desired state says so. The target fetches them with the ticket of that
//! state. An offer that is withdrawn ends streams that are under way.
//!
//! With certificates, both agents authenticate with the fleet's authority, and the name in the
//! source's certificate has to be that of its host. Without, an agent listens on loopback and
//! fetches from loopback only.

mod incoming;
mod server;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_api::v1;
use uuid::Uuid;

use crate::InvalidDesiredGuest;

pub use incoming::{Incoming, IncomingPart, Peers};
pub use server::{DiskServer, DisksPortError};

/// Bytes of a file in one message.
const CHUNK: usize = 256 << 10;

/// Where the disks of a guest go to or come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DiskRole {
    /// They become those of the migration.
    SetAside(Uuid),
    /// A missing guest is built from a copy of the migration's disks on another host.
    Fetch(Arc<DiskSource>),
    /// A missing guest is built from the migration's disks on this host.
    TakeBack(Uuid),
    /// Another host may fetch them with this ticket.
    Offer(String),
    /// A missing guest is built from its disks on the shared storage, which are this host's from
    /// then on.
    Adopt {
        /// The migration.
        migration: Uuid,
        /// Whether disks that are missing are built as those of a new guest.
        may_build: bool,
    },
    /// They belong to the host again that had them before this migration.
    Return(Uuid),
}

/// Disks that a host offers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DiskSource {
    /// The migration that they are set aside for, or the guest that is to arrive.
    pub migration: Uuid,
    /// Admits to them.
    pub ticket: String,
    /// The name of the host.
    pub host: String,
    /// Its address.
    pub address: String,
    /// The port of its agent.
    pub port: u16,
}

/// A file of disks that are set aside.
pub struct DiskPart {
    /// What it is.
    pub file: v1::DiskFile,
    /// What it contains.
    pub content: Box<dyn Read + Send>,
}

impl DiskRole {
    /// Reads a message; `None` if the disks stay.
    pub(crate) fn read(message: &v1::DiskMove) -> Result<Option<Self>, InvalidDesiredGuest> {
        use v1::disk_move::Role;
        let migration = || {
            let text = &message.migration;
            text.parse().map_err(|_| InvalidDesiredGuest::Disks(format!("migration: {text:?} is not a UUID")))
        };
        Ok(match message.role() {
            Role::SetAside => Some(Self::SetAside(migration()?)),
            Role::TakeBack => Some(Self::TakeBack(migration()?)),
            Role::Adopt => Some(Self::Adopt { migration: migration()?, may_build: message.may_build }),
            Role::Return => Some(Self::Return(migration()?)),
            Role::Offer => Some(Self::Offer(message.ticket.clone())),
            Role::Fetch => {
                let port = u16::try_from(message.source_port).unwrap_or(0);
                if message.source_address.is_empty() || port == 0 {
                    let host = &message.source_host;
                    return Err(InvalidDesiredGuest::Disks(format!("host {host:?} offers no disks")));
                }
                Some(Self::Fetch(Arc::new(DiskSource {
                    migration: migration()?,
                    ticket: message.ticket.clone(),
                    host: message.source_host.clone(),
                    address: message.source_address.clone(),
                    port,
                })))
            }
            Role::Unspecified => None,
        })
    }
}

/// The disks that may be fetched now, with their tickets.
#[derive(Clone, Default, Debug)]
pub(crate) struct Offers(Arc<Mutex<BTreeMap<Uuid, String>>>);

impl Offers {
    fn tickets(&self) -> MutexGuard<'_, BTreeMap<Uuid, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers the disks to clients with the ticket; `None` to nobody.
    pub(crate) fn set(&self, migration: Uuid, ticket: Option<&str>) {
        match ticket {
            Some(ticket) => drop(self.tickets().insert(migration, ticket.to_owned())),
            None => drop(self.tickets().remove(&migration)),
        }
    }

    /// Whether the disks are offered to clients with the ticket.
    fn admits(&self, migration: Uuid, ticket: &str) -> bool {
        !ticket.is_empty() && self.tickets().get(&migration).is_some_and(|offered| offered == ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_admits_its_ticket_until_it_is_withdrawn() {
        let (offers, disks) = (Offers::default(), Uuid::from_u128(1));
        assert!(!offers.admits(disks, ""));
        offers.set(disks, Some("a"));
        assert!(offers.admits(disks, "a") && !offers.admits(disks, "b"));
        offers.set(disks, Some("b"));
        assert!(!offers.admits(disks, "a"));
        offers.set(disks, None);
        assert!(!offers.admits(disks, "b"));
        offers.set(disks, Some(""));
        assert!(!offers.admits(disks, ""), "an empty ticket is none");
    }

    #[test]
    fn what_cannot_be_fetched_is_named() {
        let mut message = v1::DiskMove { source_host: "h1".to_owned(), ..v1::DiskMove::default() };
        assert_eq!(DiskRole::read(&message), Ok(None));
        message.set_role(v1::disk_move::Role::Fetch);
        let error = DiskRole::read(&message).expect_err("no address").to_string();
        assert_eq!(error, "desired_guest.disks: host \"h1\" offers no disks");
        (message.source_address, message.source_port) = ("a".to_owned(), 1);
        let error = DiskRole::read(&message).expect_err("no UUID").to_string();
        assert_eq!(error, "desired_guest.disks: migration: \"\" is not a UUID");
        message.migration = Uuid::from_u128(7).to_string();
        assert!(matches!(DiskRole::read(&message), Ok(Some(DiskRole::Fetch(_)))));
    }
}
