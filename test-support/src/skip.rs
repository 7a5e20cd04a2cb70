//! Tests that cannot run here.
//!
//! The output of a test that passes is not shown, and neither is why it did nothing.
//! `cargo xtask test` therefore names a file in the variable [`FILE`], and prints at its end what
//! is in it.

use std::fs::OpenOptions;
use std::io::Write;

/// The variable that names the file.
pub const FILE: &str = "BERTH_SKIPPED";

/// Notes that the running test cannot do its work, and why. The test returns then.
pub fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
    let Some(file) = std::env::var_os(FILE) else { return };
    let line = format!("{}: {reason}\n", std::thread::current().name().unwrap_or("a test"));
    let written = OpenOptions::new().append(true).create(true).open(file);
    written
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the file of skipped tests is written");
}
