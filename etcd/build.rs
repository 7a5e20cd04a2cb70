//! Makes Rust of the protobuf file, without a protoc on the system.

#![allow(clippy::print_stdout, reason = "cargo reads the output of build scripts")]

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["etcd.proto"], ["proto"])?;
    tonic_prost_build::configure().build_server(false).bytes(".").compile_fds(descriptors)?;
    Ok(())
}
