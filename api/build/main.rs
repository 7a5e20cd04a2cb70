//! Makes Rust of the protobuf files, without a protoc on the system.

#![allow(clippy::print_stdout, reason = "cargo reads the output of build scripts")]

mod bounds;

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use prost::Message;

const FILES: [&str; 6] = ["placement", "scheduler", "fleet", "instances", "agents", "disks"];

#[expect(
    clippy::disallowed_methods,
    reason = "cargo passes build scripts their output directory in a variable"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = FILES.map(|name| format!("berth/v1/{name}.proto"));
    let descriptors = protox::compile(&files, ["proto"])?;
    let descriptor_file = Path::new(&env::var("OUT_DIR")?).join("berth.v1.bin");
    let mut served = descriptors.clone();
    served.file.retain(|file| !file.name().ends_with("/disks.proto")); // agents serve it
    fs::write(&descriptor_file, served.encode_to_vec())?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("bounds.rs"), bounds::implementations(&descriptors))?;
    tonic_prost_build::configure()
        .btree_map(".berth.v1")
        .bytes(".berth.v1")
        .codec_path("crate::codec::CheckedCodec")
        .compile_fds(descriptors)?;
    Ok(())
}
