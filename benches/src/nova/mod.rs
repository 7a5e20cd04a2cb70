//! The work of Nova's scheduler, defined once for Berth and for Nova.
//!
//! A [`NovaVariant`] and a number of hosts give a [`case`]: fleet, options and request as one JSON
//! document. Berth decides on it in process ([`World`]); `benches/peers/nova_peer.py` passes the
//! same document to the real Nova.

mod case;
mod fleet;
mod request;
mod variant;
mod world;

pub use case::{case, case_with_answer};
pub use variant::NovaVariant;
pub use world::{RemovedCounts, World, Wrong};
