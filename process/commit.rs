//! The build script of Berth's programs: passes the commit that they are built from.
//!
//! `BERTH_COMMIT` has it in packages. Otherwise git knows it, in release builds only: a program
//! that is compiled again after each commit would delay everybody who works on it.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "how cargo and build scripts talk")]

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=BERTH_COMMIT");
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = env::var("BERTH_COMMIT").ok().or_else(|| is_release.then(of_git).flatten());
    println!("cargo:rustc-env=BERTH_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

fn of_git() -> Option<String> {
    for file in ["HEAD", "logs/HEAD"] {
        println!("cargo:rerun-if-changed={}", git(&["rev-parse", "--git-path", file])?);
    }
    git(&["describe", "--always", "--abbrev=12", "--dirty", "--exclude=*"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
