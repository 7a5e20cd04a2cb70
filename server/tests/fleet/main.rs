//! Fleets over gRPC, with agents that are puppets of the test: they do what they are wished at once, or fail as they are told.

mod agents;
mod aggregates;
mod backups;
mod catalogue;
mod decision_hash;
mod instances;
mod projects;
mod puppet;
mod ratios;
mod restarts;
mod scheduling;
mod service;
