//! The service on a socket: what happens when clients race, ask for too much, or send rubbish.

mod candidates;
mod client;
mod connections;
mod limits;
mod races;
mod reshapes;
mod rubbish;
mod searches;
mod server;
mod spellings;
mod summaries;
mod wide;
