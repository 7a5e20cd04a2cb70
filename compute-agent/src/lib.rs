//! The agent on a compute host.
//!
//! It reports the host's resources and guests to the service, and reconciles the guests with their
//! desired state. The state machine of a guest, [`guest`], decides without I/O; operations on
//! guests go through a [`Hypervisor`]; [`agent`] runs both and keeps the stream to the service.
//!
//! Without the feature `libvirt` there is only the [`FakeHypervisor`], with which thousands of
//! agents run in one process.
//!
//! | file | content |
//! |---|---|
//! | `guest.rs`, `guest/plan.rs` | the state machine of one guest; the choice of the next step |
//! | `hypervisor.rs` | the operations of a hypervisor: steps, observed state, faults |
//! | `fake.rs` | a hypervisor in memory, for tests and for thousands of agents in one process |
//! | `disks.rs`, `disks/` | disks on their way between hosts: offers, the server, the client |
//! | `host.rs`, `providers.rs` | the resources of a host, and its provider tree |
//! | `agent.rs`, `agent/` | the task that owns the guests; the outbox, the stream, timers, graceful shutdown |
//! | `service.rs` | the connection to the service, with or without certificates |
//! | `libvirt.rs`, `libvirt/` | the driver: connection and events, survey of the host, steps, domains, images, disks, config drive, records |
//! | `health.rs` | what the agent knows of itself |
//! | `options.rs`, `health_listener.rs`, `main.rs` | the command |
//!
//! Tests: the agent against a scripted service (`session.rs`), and on a real libvirtd with real
//! guests (`kvm/`).
//!
//! Invariants: a guest's state machine performs no I/O and reads no clock; the result of a step is
//! observed on the guest, never inferred from the step. One task owns all guests; steps run beside
//! it, at most one for each guest. The agent depends on `api` alone, and only its feature `libvirt`
//! needs a system library.

#![deny(unsafe_code)]

pub mod agent;
mod desired;
pub mod disks;
mod fake;
pub mod guest;
mod health;
mod host;
mod hypervisor;
#[cfg(feature = "libvirt")]
pub mod libvirt;
mod providers;
pub mod service;

pub use desired::{DesiredState, GuestGoal, InvalidDesiredGuest};
pub use fake::{FakeHypervisor, FakeNetwork, FakeStorage};
pub use health::AgentHealth;
pub use host::{Cell, Facts, HugePages, PciDevice};
pub use hypervisor::{
    Fault, FaultKind, Found, GuestRecord, GuestStep, Hypervisor, Job, Notice, ObservedState, StepOutcome,
};
pub use providers::{Offer, Part, provider_tree};

/// Microseconds since some moment at or before the agent's start.
pub type MonotonicMicros = u64;
