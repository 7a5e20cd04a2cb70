//! Random fleets and requests for Nova's scheduler.

pub mod fleet;
pub mod numbers;
pub mod planting;
pub mod requests;
