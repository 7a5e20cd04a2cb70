//! The Placement API: what each request does.

mod aggregates;
mod allocations;
mod call;
pub(crate) mod candidates;
mod classes;
mod consumers;
mod filters;
mod groups;
mod inventories;
mod like;
mod provider_filter;
mod providers;
pub(crate) mod refusals;
mod reshaper;
mod root;
mod route;
mod schemas;
mod traits;
mod usages;

pub(crate) use call::{Call, Found};
pub(crate) use route::Route;
