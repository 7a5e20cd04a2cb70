//! Server groups: single rules, a naive model, and real threads.
#![cfg(not(loom))]

mod fleet;
mod model;
mod race;
mod rules;
