//! `berth quota`.

use std::str::FromStr;

use anyhow::Result;
use berth_api::v1::{GetQuotaRequest, Quota, SetQuotaRequest};
use clap::{Args, Subcommand};

use super::ProjectOptions;
use super::connection::request;
use super::record::Record;
use super::refusal::Answer;
use crate::Ending;

/// Manage the quotas of projects
#[derive(Args)]
#[command(after_help = "\
Examples:
  berth quota show --project shop
  berth quota set --project shop --instances 20 --vcpus 80 --ram 163840
  berth quota set --project shop --instances unlimited")]
pub(crate) struct Quotas {
    #[command(flatten)]
    options: ProjectOptions,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show the quota and the usage of the project
    Show,
    /// Set limits of the project; others stay unchanged
    Set(Set),
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct Set {
    /// Servers, or `unlimited`
    #[arg(long, value_name = "N")]
    instances: Option<Limit>,
    /// vCPUs, or `unlimited`
    #[arg(long, value_name = "N")]
    vcpus: Option<Limit>,
    /// Memory in MiB, or `unlimited`
    #[arg(long, value_name = "MB")]
    ram: Option<Limit>,
    /// Key pairs, or `unlimited`
    #[arg(long, value_name = "N")]
    key_pairs: Option<Limit>,
}

/// A number, or none.
#[derive(Debug, Clone, Copy)]
struct Limit(Option<u64>);

impl FromStr for Limit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "unlimited" => Ok(Self(None)),
            number => {
                number.parse().map(|limit| Self(Some(limit))).map_err(|_| "has to be a number or `unlimited`")
            }
        }
    }
}

impl Set {
    /// The given limits, and the present ones for the rest.
    fn over(&self, quota: Quota) -> SetQuotaRequest {
        let limit = |wanted: Option<Limit>, known| wanted.map_or(known, |limit| limit.0);
        SetQuotaRequest {
            project: quota.project,
            instances: limit(self.instances, quota.instances),
            vcpus: limit(self.vcpus, quota.vcpus),
            memory_mb: limit(self.ram, quota.memory_mb),
            key_pairs: limit(self.key_pairs, quota.key_pairs),
        }
    }
}

impl Quotas {
    pub(crate) fn run(self) -> Result<Ending> {
        let Self { options, action } = self;
        options.run(async |client, project, format| {
            let mut fleet = client.fleet();
            let wanted = GetQuotaRequest { project: project.clone() };
            let known = fleet.get_quota(request(wanted)).await.answer()?;
            let quota = match action {
                Action::Show => known,
                Action::Set(set) => {
                    let wanted = set.over(Quota { project, ..known });
                    fleet.set_quota(request(wanted)).await.answer()?
                }
            };
            record(quota).print(format)
        })
    }
}

/// A missing limit stands for unlimited.
fn record(quota: Quota) -> Record {
    Record::new()
        .with("project", quota.project)
        .with("instances", quota.instances)
        .with("used_instances", quota.used_instances)
        .with("vcpus", quota.vcpus)
        .with("used_vcpus", quota.used_vcpus)
        .with("memory_mb", quota.memory_mb)
        .with("used_memory_mb", quota.used_memory_mb)
        .with("key_pairs", quota.key_pairs)
        .with("used_key_pairs", quota.used_key_pairs)
}
