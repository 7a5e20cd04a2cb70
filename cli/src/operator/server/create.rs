//! `berth server create`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use berth_api::v1::{CreateInstancesRequest, Instance};
use berth_process::bounded_file;
use clap::Args;

use super::request::Wanted;
use super::view::{COLUMNS, record};
use super::wait::{Goal, WaitOptions, wait};
use crate::operator::connection::{Client, request};
use crate::operator::pairs::{map, pair};
use crate::operator::record::{OutputOptions, print_list};
use crate::operator::refusal::Answer;

#[derive(Args)]
pub(super) struct Create {
    /// The name; with several servers, each gets a number appended
    name: String,
    /// The name of the flavor
    #[arg(long, value_name = "NAME")]
    flavor: String,
    #[command(flatten)]
    wanted: Wanted,
    /// Create at least this many, or none [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    min: Option<u32>,
    /// Create at most this many [default: as --min]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    max: Option<u32>,
    /// A file of user data for cloud-init, at most 64 KiB
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
    /// The key pair whose public key the servers get by their config drives
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    key_name: String,
    /// Metadata of the server (may be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    property: Vec<(String, String)>,
    /// The user to record in its events
    #[arg(long, value_name = "NAME", env = "BERTH_USER", default_value = "", hide_default_value = true)]
    user: String,
    /// A key that makes the request idempotent: with the key of an earlier request of the project,
    /// its servers are returned and none is created
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    idempotency_key: String,
    #[command(flatten)]
    waiting: WaitOptions,
}

/// The limit of the service for user data.
const MOST_USER_DATA: usize = 64 << 10;

impl Create {
    pub(super) async fn run(self, client: &Client, project: String, format: &OutputOptions) -> Result<()> {
        let (WaitOptions { wait: waits, timeout }, asked) = (self.waiting, self.counts()?);
        let wanted = self.request(client, project).await?;
        let made = client.instances().create(request(wanted)).await.answer()?.instances;
        if !waits {
            return print(made, asked, format);
        }
        let settled = wait(client, made, Goal::Status(&["ACTIVE"]), timeout).await?;
        print(settled.instances.clone(), asked, format)?;
        settled.verdict()
    }

    fn counts(&self) -> Result<(u32, u32)> {
        let min = self.min.unwrap_or(1);
        let max = self.max.unwrap_or(min);
        if max < min {
            bail!("--max: {max} is less than --min {min}");
        }
        Ok((min, max))
    }

    async fn request(self, client: &Client, project: String) -> Result<CreateInstancesRequest> {
        let (min_count, max_count) = self.counts()?;
        let user_data = self.user_data.as_deref().map(user_data).transpose()?;
        Ok(CreateInstancesRequest {
            image: self.wanted.image()?,
            hints: self.wanted.hints(client, &project).await?,
            name: self.name,
            flavor: self.flavor,
            project,
            user: self.user,
            availability_zone: self.wanted.availability_zone,
            min_count,
            max_count,
            user_data: user_data.unwrap_or_default().into(),
            metadata: map("--property", self.property)?,
            idempotency_key: self.idempotency_key,
            key_name: self.key_name,
        })
    }
}

fn user_data(file: &Path) -> Result<Vec<u8>> {
    let data = bounded_file::read(file, bounded_file::SETTINGS)
        .with_context(|| format!("--user-data: cannot read {}", file.display()))?;
    if data.len() > MOST_USER_DATA {
        bail!(
            "--user-data: {} has {} bytes, and may have at most {MOST_USER_DATA}",
            file.display(),
            data.len()
        );
    }
    Ok(data)
}

/// Prints one server if one was requested, else a list.
fn print(mut made: Vec<Instance>, (_, most): (u32, u32), format: &OutputOptions) -> Result<()> {
    match made.pop() {
        Some(only) if most == 1 && made.is_empty() => record(only).print(format),
        last => {
            let records: Vec<_> = made.into_iter().chain(last).map(record).collect();
            print_list(format, &COLUMNS, &records)
        }
    }
}
