//! `select_destinations` with its claims served by an index, and server groups judged in them.

mod cloud;
mod race;
mod refusals;
