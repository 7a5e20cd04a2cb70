//! `berth flavor`.

use anyhow::Result;
use berth_api::v1::{CreateFlavorRequest, DeleteFlavorRequest, Flavor, GetFlavorRequest, ListFlavorsRequest};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::connection::{Client, PAGE, all, request};
use super::pairs::{map, pair};
use super::record::{Record, print_list};
use super::refusal::Answer;
use super::{Common, run};
use crate::Ending;

/// Manage flavors
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth flavor create m1.small --vcpus 1 --ram 2048 --disk 20
  berth flavor create c1.gold --vcpus 8 --ram 16384 --disk 80 --property trait:CUSTOM_GOLD=required
  berth flavor list")]
pub(crate) struct Flavors {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List all flavors
    List,
    /// Create a flavor; it never changes
    Create(Create),
    /// Show a flavor
    Show {
        /// The name of the flavor
        name: String,
    },
    /// Delete flavors; existing servers keep their sizes
    Delete {
        /// Names of flavors
        #[arg(required = true)]
        name: Vec<String>,
    },
}

#[derive(Args)]
struct Create {
    /// The name of the flavor
    name: String,
    /// vCPUs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    vcpus: u32,
    /// Memory in MiB
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u32).range(1..))]
    ram: u32,
    /// Root disk in GiB; 0 for as large as the image
    #[arg(long, value_name = "GB", default_value_t = 0)]
    disk: u32,
    /// A second, empty disk in GiB; 0 for none
    #[arg(long, value_name = "GB", default_value_t = 0)]
    ephemeral: u32,
    /// Swap in MiB; 0 for none
    #[arg(long, value_name = "MB", default_value_t = 0)]
    swap: u32,
    /// An extra spec, such as trait:CUSTOM_GOLD=required (may be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    property: Vec<(String, String)>,
}

impl Create {
    fn flavor(self) -> Result<Flavor> {
        Ok(Flavor {
            name: self.name,
            vcpus: self.vcpus,
            memory_mb: self.ram,
            root_gb: self.disk,
            ephemeral_gb: self.ephemeral,
            swap_mb: self.swap,
            extra_specs: map("--property", self.property)?,
        })
    }
}

impl Flavors {
    pub(crate) fn run(self) -> Result<Ending> {
        let Self { common, action } = self;
        let format = &common.output;
        run(&common.connection, async |client| {
            let mut fleet = client.fleet();
            match action {
                Action::List => {
                    let records: Vec<_> = flavors(&client).await?.into_iter().map(record).collect();
                    print_list(format, &COLUMNS, &records)
                }
                Action::Create(create) => {
                    let wanted = CreateFlavorRequest { flavor: Some(create.flavor()?) };
                    record(fleet.create_flavor(request(wanted)).await.answer()?).print(format)
                }
                Action::Show { name } => {
                    record(fleet.get_flavor(request(GetFlavorRequest { name })).await.answer()?).print(format)
                }
                Action::Delete { name: names } => {
                    for name in names {
                        fleet.delete_flavor(request(DeleteFlavorRequest { name })).await.answer()?;
                    }
                    Ok(())
                }
            }
        })
    }
}

const COLUMNS: [&str; 7] =
    ["name", "vcpus", "memory_mb", "root_gb", "ephemeral_gb", "swap_mb", "extra_specs"];

async fn flavors(client: &Client) -> Result<Vec<Flavor>> {
    all(async |page_token| {
        let wanted = ListFlavorsRequest { page_size: PAGE, page_token };
        let page = client.fleet().list_flavors(request(wanted)).await.answer()?;
        Ok((page.flavors, page.next_page_token))
    })
    .await
}

fn record(flavor: Flavor) -> Record {
    Record::new()
        .with("name", flavor.name)
        .with("vcpus", flavor.vcpus)
        .with("memory_mb", flavor.memory_mb)
        .with("root_gb", flavor.root_gb)
        .with("ephemeral_gb", flavor.ephemeral_gb)
        .with("swap_mb", flavor.swap_mb)
        .map("extra_specs", flavor.extra_specs)
}

/// A flavor as part of something else.
pub(super) fn value(flavor: &Flavor) -> Value {
    let Flavor { name, vcpus, memory_mb, root_gb, ephemeral_gb, swap_mb, extra_specs } = flavor;
    json!({
        "name": name, "vcpus": vcpus, "memory_mb": memory_mb, "root_gb": root_gb, "ephemeral_gb": ephemeral_gb,
        "swap_mb": swap_mb, "extra_specs": extra_specs,
    })
}
