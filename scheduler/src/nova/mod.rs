//! Nova's filter scheduler: the same survivors, weights and order as Nova gives for the same request.
//!
//! The answers are compared with those of Nova itself (`tests/nova_vectors.rs`). Where Berth decides otherwise on
//! purpose, `docs/nova-differences.md` says so.

pub mod python;
pub mod request_spec;

pub use request_spec::RequestSpec;
