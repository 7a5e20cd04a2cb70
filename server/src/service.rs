//! What all requests share.

use std::time::{SystemTime, UNIX_EPOCH};

use berth_placement::{Index, Timestamp};

use crate::auth::Auth;
use crate::http::cors::Cors;
use crate::metrics::Metrics;
use crate::policy::Policy;
use crate::standard;

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// How it finds out who is asking.
    pub auth: Auth,
    /// Who may do what.
    pub policy: Policy,
    /// Which other origins' pages may call.
    pub cors: Cors,
    /// How much one request may ask for.
    pub limits: Limits,
}

/// How much one request may ask for; beyond, it is refused with the limit's name.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of a URL's query.
    pub query_bytes: usize,
    /// Parameters of a query.
    pub query_parameters: usize,
    /// Elements of a list, or members of an object, in a body.
    pub list_length: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body_bytes: 16 << 20, query_bytes: 64 << 10, query_parameters: 1_000, list_length: 10_000 }
    }
}

/// The Placement service over an index.
pub struct Service {
    pub(crate) index: Index,
    pub(crate) options: Options,
    pub(crate) metrics: Metrics,
}

impl Service {
    /// A service over an empty index that knows the standard traits and resource classes.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let index = Index::with_holders();
        let mut writer = index.write_at(now());
        for class in standard::CLASSES {
            writer.resource_class(class).expect("an empty index has room for the standard classes");
        }
        for name in standard::TRAITS {
            writer.trait_named(name);
        }
        drop(writer);
        Self { index, options, metrics: Metrics::default() }
    }

    /// The index that it serves.
    #[must_use]
    pub const fn index(&self) -> &Index {
        &self.index
    }
}

/// The time, as the answers tell it.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "this is the edge: answers say when things were changed")]
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX))
}
