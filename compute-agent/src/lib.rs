//! The agent on a compute host.
//!
//! It tells the service what the host has, and brings guests to be as the service wishes them. What it decides about a guest is
//! [`guest`], a state machine without I/O; what it does to guests goes through a [`Hypervisor`]; [`agent`] runs both and keeps
//! the stream to the service.
//!
//! Without the feature `libvirt` there is only the [`FakeHypervisor`], on which thousands of agents run in one process.

#![deny(unsafe_code)]

pub mod agent;
mod fake;
pub mod guest;
mod host;
mod hypervisor;
#[cfg(feature = "libvirt")]
pub mod libvirt;
mod providers;
pub mod service;
mod wish;

pub use fake::FakeHypervisor;
pub use host::{Cell, Facts, HugePages, PciDevice};
pub use hypervisor::{Fault, FaultKind, Found, Hypervisor, Job, Notice, Outcome, Power, Record, Step};
pub use providers::{Offer, Part, provider_tree};
pub use wish::{Goal, InvalidWish, Wish};

/// Microseconds since some moment at or before the agent's start.
pub type Micros = u64;
