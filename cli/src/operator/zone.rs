//! `berth zone`.

use anyhow::Result;
use berth_api::v1::{ListZonesRequest, Zone};
use clap::{Args, Subcommand};

use super::connection::request;
use super::record::{Record, print_list};
use super::refusal::Answer;
use super::{Common, run};
use crate::Ending;

/// List availability zones and their hosts
#[derive(Args)]
#[command(after_help = "\
Example: berth zone list

A zone is made by an aggregate: berth aggregate create rack1 --zone az1")]
pub(crate) struct Zones {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List all zones
    List,
}

impl Zones {
    pub(crate) fn run(self) -> Result<Ending> {
        let format = &self.common.output;
        run(&self.common.connection, async |client| match self.action {
            Action::List => {
                let known = client.fleet().list_zones(request(ListZonesRequest {})).await.answer()?;
                let records: Vec<_> = known.zones.into_iter().map(record).collect();
                print_list(format, &["name", "available", "hosts"], &records)
            }
        })
    }
}

fn record(zone: Zone) -> Record {
    Record::new().with("name", zone.name).with("available", zone.is_available).with("hosts", zone.hosts)
}
