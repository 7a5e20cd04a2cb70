//! `berth keypair`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use berth_api::v1::{
    CreateKeyPairRequest, DeleteKeyPairRequest, GetKeyPairRequest, KeyPair, ListKeyPairsRequest,
};
use berth_process::bounded_file;
use clap::{Args, Subcommand};

use super::connection::{Client, PAGE, all, request};
use super::record::{OutputOptions, Record, print_list};
use super::refusal::Answer;
use super::{ProjectOptions, Scope};
use crate::Ending;

/// Manage SSH key pairs
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth keypair create laptop --public-key ~/.ssh/id_ed25519.pub
  berth server create web-1 --flavor m1.small --image debian.qcow2 --key-name laptop

The service gets the public key only. Make a pair with `ssh-keygen -t ed25519`.")]
pub(crate) struct KeyPairs {
    #[command(flatten)]
    options: ProjectOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the key pairs of the project
    List(Scope),
    /// Create a key pair from a public key
    Create {
        /// The name of the key pair
        name: String,
        /// The file of the public key
        #[arg(long, value_name = "FILE")]
        public_key: PathBuf,
    },
    /// Show a key pair
    Show {
        /// The name of the key pair
        name: String,
    },
    /// Delete key pairs; servers keep their keys
    Delete {
        /// Names of key pairs
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

impl KeyPairs {
    pub(crate) fn run(self) -> Result<Ending> {
        let Self { options, action } = self;
        options.run(async |client, project, format| act(&client, action, project, format).await)
    }
}

async fn act(client: &Client, action: Action, project: String, format: &OutputOptions) -> Result<()> {
    let mut fleet = client.fleet();
    let shown = match action {
        Action::List(scope) => return list(client, scope.project(&project), format).await,
        Action::Create { name, public_key } => {
            let public_key = read(&public_key)?;
            fleet.create_key_pair(request(CreateKeyPairRequest { name, project, public_key })).await
        }
        Action::Show { name } => fleet.get_key_pair(request(GetKeyPairRequest { name, project })).await,
        Action::Delete { names } => {
            for name in names {
                let wanted = DeleteKeyPairRequest { name, project: project.clone() };
                fleet.delete_key_pair(request(wanted)).await.answer()?;
            }
            return Ok(());
        }
    };
    record(shown.answer()?).print(format)
}

fn read(file: &Path) -> Result<String> {
    let name = file.display();
    let bytes = bounded_file::read(file, bounded_file::SETTINGS)
        .with_context(|| format!("--public-key: cannot read {name}"))?;
    String::from_utf8(bytes).with_context(|| format!("--public-key: {name} is no text"))
}

async fn list(client: &Client, project: String, format: &OutputOptions) -> Result<()> {
    let pairs = all(async |page_token| {
        let wanted = ListKeyPairsRequest { page_size: PAGE, page_token, project: project.clone() };
        let page = client.fleet().list_key_pairs(request(wanted)).await.answer()?;
        Ok((page.key_pairs, page.next_page_token))
    });
    let records: Vec<_> = pairs.await?.into_iter().map(record).collect();
    print_list(format, &["name", "fingerprint", "project"], &records)
}

fn record(pair: KeyPair) -> Record {
    Record::new()
        .with("name", pair.name)
        .with("fingerprint", pair.fingerprint)
        .with("project", pair.project)
        .time("created_at", pair.created_at)
        .with("public_key", pair.public_key)
}
