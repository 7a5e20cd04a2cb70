//! Allocation candidates: the search against a naive one, and against recorded answers of OpenStack Placement.
#![cfg(not(loom))]

mod large;
mod model;
mod naive;
mod recorded;
mod world;
