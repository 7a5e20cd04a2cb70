//! Server groups: single rules, a naive model, and concurrent threads.
#![cfg(not(loom))]

mod fleet;
mod model;
mod race;
mod rules;
