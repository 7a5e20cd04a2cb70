#![no_main]

// The same parsers as in the tests of `server`. This crate is outside the workspace, so it includes
// the file.
#[path = "../../server/tests/fuzz/parsers.rs"]
#[allow(dead_code)] // each target calls one of them
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::body(data));
