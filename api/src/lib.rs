//! The gRPC API of Berth.
//!
//! [`v1`] is generated from `proto/berth/v1`, which says what each field means. [`host_name`] has a
//! rule that protobufs cannot say. Every message is checked against bounds where it is decoded
//! ([`bounds`]), the number of its [`elements`] before that.

#![forbid(unsafe_code)]

pub mod bounds;
mod codec;
pub mod elements;
pub mod host_name;

/// Version 1: messages, clients and servers.
#[allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    reason = "generated"
)]
pub mod v1 {
    tonic::include_proto!("berth.v1");

    include!(concat!(env!("OUT_DIR"), "/bounds.rs"));

    /// All that the service serves as a descriptor set, for server reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/berth.v1.bin"));
}
