//! The gRPC services on a socket, through their generated clients.

mod access;
mod admission;
mod certificates;
mod claims;
mod consumers;
mod details;
mod durability;
mod providers;
mod sets;
mod standard;
mod support;
