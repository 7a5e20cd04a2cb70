//! The Placement API: what each request does.

mod aggregates;
mod allocations;
mod call;
mod candidates;
mod classes;
mod consumers;
mod inventories;
mod like;
mod provider_filter;
mod providers;
mod refusals;
mod reshaper;
mod root;
mod route;
mod schemas;
mod traits;
mod usages;

pub(crate) use call::Call;
pub(crate) use route::Route;
