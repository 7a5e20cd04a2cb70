//! Nova's messages to its scheduler over RabbitMQ, and the replies.
//!
//! Nova's services call each other with oslo.messaging: JSON envelopes over AMQP, in which
//! versioned objects travel. This crate reads the calls and casts that a scheduler receives, and
//! writes replies and exceptions as the callers expect them ([`Message`], [`Call`], [`Reply`]). The
//! [`bus`] connects to the brokers, declares the queues and delivers.
//!
//! # Files
//!
//! | file | content |
//! |---|---|
//! | `envelope.rs`, `reply.rs`, `duplicates.rs` | messages on the bus; replies; messages that are delivered twice |
//! | `call.rs` | methods by namespace and version, and what is refused |
//! | `failure.rs`, `python_json.rs` | exceptions as callers rebuild them; JSON as Python writes it |
//! | `object.rs`, `request_spec.rs`, `image.rs`, `casts.rs`, `selection.rs` | versioned objects: the request, what services announce, the answer |
//! | `transport/` | options of `nova.conf` about the bus: URLs of brokers, queue types, timeouts; queues and exchanges that follow from them |
//! | `bus/` | the only files with I/O: connection, consumers, replies |
//!
//! # Invariants
//!
//! - Everything but `bus/` is a pure function of bytes. No message can make it panic.
//! - URLs of brokers and of cells contain passwords: no error and no log line has one.

#![forbid(unsafe_code)]

pub mod bus;
mod call;
mod casts;
mod duplicates;
mod envelope;
mod failure;
mod image;
mod object;
mod python_json;
mod reply;
mod request_spec;
mod selection;
pub mod transport;

pub use call::{Call, DestinationsRequest};
pub use duplicates::Duplicates;
pub use envelope::{EnvelopeError, Message, ReplyTo};
pub use failure::RpcFailure;
pub use reply::Reply;
pub use selection::{AllocationRequest, ProviderResources, Selected, result};
