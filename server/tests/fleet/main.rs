//! Fleets over gRPC, with scripted agents: they apply a desired guest at once, or fail as the test
//! sets them up.

mod agents;
mod aggregates;
mod backups;
mod catalogue;
mod decision_hash;
mod evacuations;
mod instances;
mod live;
mod moves;
mod names;
mod projects;
mod ratios;
mod rebuilds;
mod relaxed;
mod rescues;
mod restarts;
mod scheduling;
mod scripted_agent;
mod service;
