//! Checks that the kernels over 64 rows are vector code: `objdump` disassembles the functions of
//! `placement::kernel`'s vector module in the `berth` command, and each has to use the 256-bit
//! registers.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::step::Steps;

/// The prefix of the AVX2 functions' names in the binary, without their hash.
const MODULE: &str = "berth_placement::kernel::avx2::";
/// The functions that must exist; the compiler may emit several instances of each.
const KERNELS: [&str; 6] = ["fits", "at_least", "largest", "range", "reach", "scores"];

pub(crate) fn run(steps: &mut Steps) -> Result<()> {
    let mut build = steps.cargo(&["build", "--release", "--package", "berth"]);
    steps.run("build", &mut build)?;
    let binary = steps.target_dir().join("release/berth");
    let output = Command::new("objdump")
        .args(["--disassemble", "--demangle", "--no-show-raw-insn"])
        .arg(&binary)
        .output()
        .context("cannot start objdump; on Debian: apt-get install binutils")?;
    ensure!(output.status.success(), "objdump failed on {}", binary.display());
    let disassembly = String::from_utf8_lossy(&output.stdout);
    let counts = count(&disassembly);
    for kernel in KERNELS {
        let Counts { instructions, wide } = counts.get(kernel).copied().unwrap_or_default();
        println!("{kernel:>9}: {wide} of {instructions} instructions use 256-bit registers");
        ensure!(wide > 0, "{MODULE}{kernel} is missing from {} or is no vector code", binary.display());
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    instructions: u32,
    wide: u32,
}

/// Counts the instructions of each function of the module, over all its instances.
fn count(disassembly: &str) -> BTreeMap<&str, Counts> {
    let mut counts = BTreeMap::<&str, Counts>::new();
    let mut inside = None;
    for line in disassembly.lines() {
        if line.ends_with(">:") {
            inside = function(line);
        } else if let Some(name) = inside.filter(|_| line.contains('\t')) {
            let count = counts.entry(name).or_default();
            count.instructions += 1;
            count.wide += u32::from(line.contains("%ymm"));
        }
    }
    counts
}

/// The module's function that a line such as `0000 <berth_placement::kernel::avx2::fits>:` starts.
fn function(line: &str) -> Option<&str> {
    let (_, name) = line.split_once(MODULE)?;
    name.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_counted_by_function() {
        let text = "\
0000000000001000 <berth_placement::kernel::avx2::fits>:
    1000:\tvpcmpgtd (%rdi),%ymm0,%ymm1
    1004:\tret
0000000000001010 <berth_placement::kernel::scalar::fits>:
    1010:\tvpcmpgtd (%rdi),%ymm0,%ymm1
0000000000001020 <berth_placement::kernel::avx2::fits::h0123456789abcdef>:
    1020:\tret
";
        let counts = count(text);
        assert_eq!(counts, BTreeMap::from([("fits", Counts { instructions: 3, wide: 1 })]));
    }
}
