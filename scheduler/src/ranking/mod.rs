//! Hosts in an order, in blocks whose summaries show what fits in them: the best host without a
//! look at every host.
//!
//! `docs/search.md` describes the search.

pub(crate) mod best;
pub(crate) mod bounds;
pub(crate) mod cached_extremes;
pub(crate) mod extremes;
pub(crate) mod forest;
pub(crate) mod group;
pub(crate) mod kinds;
pub(crate) mod leaf;
pub(crate) mod order;
pub(crate) mod search;
pub(crate) mod sorted;
pub(crate) mod spans;
pub(crate) mod summary;
pub(crate) mod tuning;
