//! Clients that attack a service, each attack bounded in time. While one runs, another client sends
//! cheap requests, and the process must stay below a ceiling of memory.
//!
//! `cargo test` runs the short form, `cargo xtask attack` the long one (`BERTH_ATTACK_LONG`).
//! `docs/threat-model.md` lists what each role can do at worst.
#![allow(clippy::disallowed_methods, reason = "attacks real processes in real time")]
#![allow(clippy::print_stdout, reason = "prints what it measured")]

mod agents;
mod answers;
mod bodies;
mod idle;
mod lengthy;
mod messages;
mod names;
mod places;
mod released;
mod scene;
mod searches;
mod watching;
