//! `berth aggregate`.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use berth_api::v1::{
    Aggregate, CreateAggregateRequest, DeleteAggregateRequest, GetAggregateRequest, ListAggregatesRequest,
    UpdateAggregateRequest as Change,
};
use clap::{Args, Subcommand};

use super::connection::{Client, PAGE, all, request};
use super::pairs::{map, pair};
use super::record::{OutputOptions, Record, print_list};
use super::refusal::Answer;
use super::{Common, run};
use crate::Ending;

/// Manage host aggregates
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth aggregate create rack1 --zone az1
  berth aggregate add-host rack1 compute-1 compute-2
  berth aggregate set rack1 --property ssd=true
  berth aggregate unset rack1 --property ssd")]
pub(crate) struct Aggregates {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List all aggregates
    List,
    /// Create an aggregate
    Create {
        /// The name of the aggregate
        name: String,
        #[command(flatten)]
        says: Says,
    },
    /// Show an aggregate
    Show {
        /// The name of the aggregate
        name: String,
    },
    /// Add hosts to an aggregate
    AddHost(OfHosts),
    /// Remove hosts from an aggregate
    RemoveHost(OfHosts),
    /// Set metadata of an aggregate
    Set {
        /// The name of the aggregate
        name: String,
        #[command(flatten)]
        says: Says,
    },
    /// Unset metadata of an aggregate
    Unset {
        /// The name of the aggregate
        name: String,
        /// The key to unset (may be repeated)
        #[arg(long, value_name = "KEY", required = true)]
        property: Vec<String>,
    },
    /// Delete aggregates without hosts
    Delete {
        /// Names of aggregates
        #[arg(required = true)]
        name: Vec<String>,
    },
}

/// The metadata of an aggregate.
#[derive(Args)]
struct Says {
    /// The availability zone of its hosts
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// Metadata that filters read (may be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    property: Vec<(String, String)>,
}

#[derive(Args)]
struct OfHosts {
    /// The name of the aggregate
    name: String,
    /// Names of hosts
    #[arg(required = true)]
    host: Vec<String>,
}

/// The key that makes an aggregate an availability zone.
const ZONE: &str = "availability_zone";

impl Says {
    fn metadata(self) -> Result<BTreeMap<String, String>> {
        let zone = self.zone.map(|zone| (ZONE.to_owned(), zone));
        map("--zone, --property", zone.into_iter().chain(self.property).collect())
    }

    fn something(self) -> Result<BTreeMap<String, String>> {
        let metadata = self.metadata()?;
        if metadata.is_empty() {
            bail!("--property or --zone: needed, else there is nothing to set");
        }
        Ok(metadata)
    }
}

impl Aggregates {
    pub(crate) fn run(self) -> Result<Ending> {
        let Self { common, action } = self;
        run(&common.connection, async |client| act(&client, action, &common.output).await)
    }
}

async fn act(client: &Client, action: Action, format: &OutputOptions) -> Result<()> {
    let mut fleet = client.fleet();
    let wanted = match action {
        Action::List => return list(client, format).await,
        Action::Delete { name } => return delete(client, name).await,
        Action::Show { name } => {
            let shown = fleet.get_aggregate(request(GetAggregateRequest { name })).await.answer()?;
            return record(shown).print(format);
        }
        Action::Create { name, says } => {
            let wanted = CreateAggregateRequest { name, metadata: says.metadata()? };
            return record(fleet.create_aggregate(request(wanted)).await.answer()?).print(format);
        }
        Action::AddHost(OfHosts { name, host }) => Change { name, add_hosts: host, ..Change::default() },
        Action::RemoveHost(OfHosts { name, host }) => {
            Change { name, remove_hosts: host, ..Change::default() }
        }
        Action::Set { name, says } => Change { name, set_metadata: says.something()?, ..Change::default() },
        Action::Unset { name, property } => Change { name, unset_metadata: property, ..Change::default() },
    };
    record(fleet.update_aggregate(request(wanted)).await.answer()?).print(format)
}

async fn list(client: &Client, format: &OutputOptions) -> Result<()> {
    let records: Vec<_> = aggregates(client).await?.into_iter().map(record).collect();
    print_list(format, &["name", ZONE, "hosts", "properties"], &records)
}

/// All aggregates.
pub(crate) async fn aggregates(client: &Client) -> Result<Vec<Aggregate>> {
    all(async |page_token| {
        let wanted = ListAggregatesRequest { page_size: PAGE, page_token };
        let page = client.fleet().list_aggregates(request(wanted)).await.answer()?;
        Ok((page.aggregates, page.next_page_token))
    })
    .await
}

async fn delete(client: &Client, names: Vec<String>) -> Result<()> {
    for name in names {
        client.fleet().delete_aggregate(request(DeleteAggregateRequest { name })).await.answer()?;
    }
    Ok(())
}

fn record(aggregate: Aggregate) -> Record {
    let Aggregate { name, uuid, hosts, mut metadata } = aggregate;
    let zone = metadata.remove(ZONE);
    Record::new()
        .with("name", name)
        .with("uuid", uuid)
        .with(ZONE, zone)
        .with("hosts", hosts)
        .map("properties", metadata)
}
