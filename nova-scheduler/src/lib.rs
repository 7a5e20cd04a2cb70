//! Berth in the place of nova-scheduler: Nova's conductors ask it over their own bus.
//!
//! [`NovaScheduler`] serves the topic `scheduler`. For each request, it waits until what it knows
//! of hosts is fresh ([`berth_nova_database`]), decides with the
//! [`Decider`](berth_scheduler::decider::Decider) on the index of Placement in this process, and
//! answers when the claim is durable ([`ClaimLedger`]). With another Placement service, the same
//! filters and weighers choose among its candidates (`remote/`).
//!
//! ```text
//! bus ─► SelectDestinations ─► fresh rows ─► Decider: decide, claim ─► durable ─► Selections ─► bus
//! casts ─► NovaHosts ◄── databases
//! ```
//!
//! # Files
//!
//! | file | content |
//! |---|---|
//! | `service.rs`, `select.rs`, `shadowed.rs` | calls and casts of Nova: a handler for the bus; requests for hosts; the same in shadow mode |
//! | `engine.rs` | where decisions are claimed |
//! | `remote/` | decisions with another Placement service, over HTTP |
//! | `decisions.rs` | decisions on the index |
//! | `selected.rs`, `refusal.rs` | hosts and errors in the terms of Nova |
//! | `ledger.rs` | what the service needs of Placement |
//! | `requests.rs`, `explanations.rs`, `metrics.rs` | recent requests, why they were refused, and metrics, for operators |
//! | `shadow/` | shadow mode: answers of nova-scheduler and Berth compared, and recorded |
//! | `run.rs`, `settings.rs` | starts everything; where bus and databases are |

#![forbid(unsafe_code)]

mod decisions;
mod engine;
mod explanations;
mod ledger;
mod metrics;
mod refusal;
mod remote;
mod requests;
mod run;
mod select;
mod selected;
mod service;
mod settings;
mod shadow;
mod shadowed;

pub use ledger::ClaimLedger;
pub use remote::{FixedToken, InvalidAuthorities, RemotePlacementSettings, TokenSource};
pub use requests::{Outcome, RequestSummary};
pub use run::{NovaError, NovaScheduler};
pub use settings::NovaSettings;
pub use shadow::{
    Agreement, DifferenceCause, ShadowAnswer, ShadowRecord, ShadowReport, ShadowSettings, StaleState,
    WhenUnanswered, read_shadow_records,
};
