//! Allocation candidates: the search compared with a naive one, and with recorded answers of
//! OpenStack Placement.
#![cfg(not(loom))]

mod large;
mod model;
mod naive;
mod recorded;
mod world;
