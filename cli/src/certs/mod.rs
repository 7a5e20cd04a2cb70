//! `berth certs`: a certificate authority, and certificates issued by it.

mod authority;
mod files;
mod leaf;
mod revoke;

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use crate::Ending;
use authority::Authority;
use files::Pair;
use leaf::Leaf;

/// Create the certificates of the gRPC service, its clients and agents
#[derive(Args)]
#[command(after_help = "docs/tls.md walks through it.")]
pub(crate) struct Certs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Create a certificate authority: ca.pem, which is public, and ca-key.pem, which stays secret
    Init(Init),
    /// Issue a certificate with a key of its own
    Issue(Issue),
    /// Revoke a certificate: adds it to crl.pem, the list that serve.tls.client_crl names
    Revoke(Revoke),
}

#[derive(Args)]
struct Revoke {
    /// The directory of the authority
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The name of its owner: the certificate is in NAME.pem in the directory
    #[arg(long, required_unless_present_any = ["certificate", "nothing"])]
    name: Option<String>,
    /// The file of the certificate, if it is another
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    certificate: Option<PathBuf>,
    /// Create the list without revoking a certificate
    #[arg(long, conflicts_with_all = ["name", "certificate"])]
    nothing: bool,
}

#[derive(Args)]
struct Init {
    /// The directory to create it in
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The name of the authority
    #[arg(long, default_value = "Berth CA")]
    name: String,
    /// Validity in days
    #[arg(long, value_name = "N", default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

#[derive(Args)]
struct Issue {
    /// The directory of the authority, which also receives the new files
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The role of its owner
    #[arg(long)]
    role: Role,
    /// The name of the owner and of the files; for an agent, the name of its host
    #[arg(long)]
    name: String,
    /// For an agent: the UUID of its host. With it, the host needs no approval to join
    #[arg(long)]
    uuid: Option<Uuid>,
    /// A DNS name of the owner (may be repeated) [default for a server: its name]
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// An IP address of the owner (may be repeated)
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<IpAddr>,
    /// Validity in days
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

/// What the owner of a certificate may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Everything
    Operator,
    /// Schedule instances, operate them, and read
    Service,
    /// Read
    Reader,
    /// Authenticate as the service
    Server,
    /// Report for the host with the certificate's name
    Agent,
}

impl Certs {
    pub(crate) fn run(self) -> Result<Ending> {
        match self.action {
            Action::Init(init) => {
                let pair = Pair::in_directory(&init.dir, "ca");
                files::create_directory(&init.dir)?;
                pair.write(&Authority::make(&init.name, init.days)?)?;
            }
            Action::Issue(issue) => {
                let leaf = Leaf::of(&issue)?;
                let authority = Authority::read(&Pair::in_directory(&issue.dir, "ca"))?;
                Pair::in_directory(&issue.dir, &issue.name).write(&authority.issue(leaf)?)?;
            }
            Action::Revoke(revoke) => revoke::run(&revoke)?,
        }
        Ok(Ending::Complete)
    }
}
