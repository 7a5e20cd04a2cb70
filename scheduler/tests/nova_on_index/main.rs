//! Nova's decision on the index: query, eligible hosts, filters, weighers and claims, without
//! Placement's API between them.

mod batches;
mod cloud;
mod decisions;
mod eligible;
mod naive;
mod updates;

use berth_test_support::nova::{fleet, numbers, planting, requests};
