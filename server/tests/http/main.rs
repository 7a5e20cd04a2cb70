//! The service on a socket: what happens when clients race, ask for too much, or send rubbish.

mod candidates;
mod client;
mod limits;
mod races;
mod reshapes;
mod rubbish;
mod server;
mod summaries;
mod wide;
