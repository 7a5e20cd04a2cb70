#![no_main]

#[path = "../../server/tests/fuzz/parsers.rs"]
#[allow(dead_code)] // each target calls one of them
mod parsers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| parsers::body(data));
