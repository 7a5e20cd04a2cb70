//! Debian packages that tests need. A script beside their user installs each set;
//! `xtask/packages.sh` has the rules.

use anyhow::Result;
use clap::Args;

use crate::kvm::as_root;
use crate::step::Steps;

/// What may be done to the packages of this machine.
#[derive(Args, Clone, Copy)]
pub(crate) struct Packages {
    /// Installs missing Debian packages without asking
    #[arg(long)]
    yes: bool,
    /// Lets packages that are installed be replaced by older ones; for machines that are thrown
    /// away
    #[arg(long)]
    allow_downgrades: bool,
}

impl Packages {
    /// Runs an install script of the repository as root.
    pub(crate) fn install(self, steps: &mut Steps, name: &str, script: &str) -> Result<()> {
        let mut install = as_root("bash");
        install.arg(steps.root().join(script));
        install.args(self.yes.then_some("--yes")).args(self.allow_downgrades.then_some("--allow-downgrades"));
        steps.run(name, &mut install)
    }
}
