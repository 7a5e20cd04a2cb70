//! Nova's decision on the index: query, eligible hosts, filters, weighers and claims, without Placement's API between them.

mod batches;
mod cloud;
mod decisions;
mod eligible;
mod fleet;
mod naive;
mod numbers;
mod planting;
mod requests;
mod updates;
