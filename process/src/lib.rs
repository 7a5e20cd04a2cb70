//! The common edges of `berth` and `berth-agent`: environment variables, the log, printed text, and
//! certificate files.
//!
//! | module | |
//! |---|---|
//! | [`authority`] | splits login, host and port of a URL |
//! | [`build`] | what a program was built from |
//! | [`bounded_file`] | reads a file as a whole, up to a bound |
//! | [`command_line`] | prints help, version and wrong usage |
//! | [`environment`] | checks the variables whose names begin with `BERTH_` |
//! | [`listener`] | names what listens at an address where a client expected something else |
//! | [`log`] | sets up the log on standard error |
//! | [`printable`] | escapes characters that would act on a terminal |
//! | [`supervisor`] | reports to the service manager that the program is ready, alive, or about to end |
//! | [`certificates`] | reads certificates and keys, and says what is wrong with a file |

#![forbid(unsafe_code)]

pub mod authority;
pub mod bounded_file;
pub mod build;
pub mod certificates;
pub mod command_line;
pub mod environment;
pub mod listener;
pub mod log;
pub mod printable;
pub mod supervisor;
