//! `berth certs`: a certificate authority of one's own, and certificates by it.

mod authority;
mod files;
mod leaf;

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use crate::Ending;
use authority::Authority;
use files::Pair;
use leaf::Leaf;

/// Makes the certificates that gRPC's clients, agents and service know each other by
#[derive(Args)]
#[command(after_help = "docs/tls.md walks through it.")]
pub(crate) struct Certs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a certificate authority: ca.pem, which everybody gets, and ca-key.pem, which nobody does
    Init(Init),
    /// Make a certificate and its key, by the authority in the folder
    Issue(Issue),
}

#[derive(Args)]
struct Init {
    /// The folder to make it in
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// What the authority is called
    #[arg(long, default_value = "Berth CA")]
    name: String,
    /// How long it is valid, in days
    #[arg(long, value_name = "N", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

#[derive(Args)]
struct Issue {
    /// The folder of the authority; the new files go there, too
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// What its owner may do
    #[arg(long)]
    role: Role,
    /// Whose it is; for an agent, the name of its host. The files are called so
    #[arg(long)]
    name: String,
    /// For an agent: the UUID of its host. With it, the host needs no approval to join
    #[arg(long)]
    uuid: Option<Uuid>,
    /// A DNS name that the owner is reached by (may be repeated) [default for a server: its name]
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// An IP address that the owner is reached by (may be repeated)
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// How long it is valid, in days
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

/// What the owner of a certificate may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Everything
    Operator,
    /// Place instances, act on them, and read
    Service,
    /// Read
    Reader,
    /// Be the service
    Server,
    /// Speak for the host that has the certificate's name
    Agent,
}

impl Certs {
    pub(crate) fn run(self) -> Result<Ending> {
        match self.action {
            Action::Init(init) => {
                let pair = Pair::in_folder(&init.dir, "ca");
                files::make_folder(&init.dir)?;
                pair.write(&Authority::make(&init.name, init.days)?)?;
            }
            Action::Issue(issue) => {
                let leaf = Leaf::of(&issue)?;
                let authority = Authority::read(&Pair::in_folder(&issue.dir, "ca"))?;
                Pair::in_folder(&issue.dir, &issue.name).write(&authority.issue(leaf)?)?;
            }
        }
        Ok(Ending::Complete)
    }
}
