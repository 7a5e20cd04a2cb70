//! Writes the examples of `server/tests/fuzz` to `corpus/`, one directory per target, as
//! libFuzzer's initial corpus.

// This crate is outside the workspace, so it includes the file.
#[path = "../../../server/tests/fuzz/examples.rs"]
mod examples;

use std::path::Path;

use examples::{BODIES, MICROVERSIONS, POLICIES, QUERIES};

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let targets: [(&str, &[&[u8]]); 4] =
        [("query", &QUERIES), ("body", &BODIES), ("microversion", &MICROVERSIONS), ("policy", &POLICIES)];
    for (target, examples) in targets {
        let directory = corpus.join(target);
        std::fs::create_dir_all(&directory)?;
        for (number, example) in examples.iter().enumerate() {
            std::fs::write(directory.join(format!("example-{number}")), example)?;
        }
    }
    Ok(())
}
