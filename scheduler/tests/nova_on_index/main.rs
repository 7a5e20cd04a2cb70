//! Nova's decision on the index: query, candidates, filters, weighers and claims, without Placement's API between them.

mod cloud;
mod decisions;
mod devices;
mod eligible;
