//! `berth audit`.

mod findings;
mod fleet;
mod heal;
mod leave;
mod offline;
mod online;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::env::VarError;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use berth_process::bounded_file;
use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use self::findings::{Findings, Known};
use self::fleet::{About, Fleet, Holdings};
use self::heal::{Heal, HealOptions, Step};
use self::offline::Offline;
use self::online::Online;
use crate::document::DocumentOptions;
use crate::operator::connection::Connection;
use crate::operator::{self, server};
use crate::{Ending, output};

/// Find allocations of deleted consumers, wrong usage, and providers over capacity
#[derive(Args)]
#[command(after_help = "\
Examples:
  openstack server list --all-projects --limit -1 -c ID -f value > instances
  berth audit --url http://placement:8778 --token $TOKEN --instances instances
  berth audit --url http://placement:8778 --servers        where Berth alone makes instances: its own are all there are
  berth audit --data /var/lib/berth --instances instances --json          the directory of a service that does not run
  berth audit --url http://placement:8778 --instances instances --migrations migrations --heal leaked --write

Take the list of instances after a look at the migrations that run: they hold allocations under UUIDs of their own, see
--migrations and docs/operations.md. Exit codes: 0 nothing found, 4 something found, 1 failed, 2 wrong usage.")]
pub(crate) struct Audit {
    /// A Placement service, Berth or the original
    #[arg(long, value_name = "URL", required_unless_present = "data", conflicts_with = "data")]
    url: Option<String>,
    /// The token for requests [default: the environment variable OS_TOKEN, or admin]
    #[arg(long, value_name = "TOKEN", requires = "url")]
    token: Option<String>,
    /// The data directory of a service that does not run (berth serve --data)
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The UUIDs of all existing instances, one per line; - reads standard input
    #[arg(long, value_name = "FILE")]
    instances: Option<PathBuf>,
    /// Also count the servers of this service (`berth server list`, read from --service) as
    /// instances. With --data, they always count
    #[arg(long, requires = "url")]
    servers: bool,
    #[command(flatten)]
    connection: Connection,
    /// The UUIDs of all migrations in progress, one per line. Without it, consumers of type
    /// MIGRATION are not checked, and no leaked consumer is healed
    #[arg(long, value_name = "FILE")]
    migrations: Option<PathBuf>,
    /// Heal this kind of finding (may be repeated); without --write, only report what would be done
    #[arg(long, value_name = "KIND")]
    heal: Vec<Heal>,
    /// Skip consumers that were written within this many seconds: the lists may not have their
    /// instances yet
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    older_than: u64,
    /// Apply what --heal selects
    #[arg(long, requires = "heal")]
    write: bool,
    #[command(flatten)]
    format: DocumentOptions,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    findings: &'a Findings,
    healing: &'a [Step],
}

impl Audit {
    pub(crate) fn run(self) -> Result<Ending> {
        if self.heal.contains(&Heal::Leaked) && self.instances.is_none() && !self.servers {
            bail!(
                "--heal leaked: --instances has to name the existing instances, or --servers where Berth alone makes instances"
            );
        }
        if self.heal.contains(&Heal::Leaked) && self.migrations.is_none() {
            // Nova does not report to Placement which consumers are migrations: without the list,
            // each would count as leaked.
            bail!(
                "--heal leaked: --migrations has to say which migrations have not ended; an empty file if none"
            );
        }
        if self.write && self.heal.contains(&Heal::Leaked) && self.heal.contains(&Heal::OverCapacity) {
            bail!(
                "--heal over-capacity: heal leaked consumers first and look again: that may leave nothing over capacity"
            );
        }
        let mut known = self.known()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let options =
            HealOptions { kinds: &self.heal, before: now.saturating_sub(self.older_than), write: self.write };
        let (findings, steps) = match &self.data {
            Some(directory) => {
                let mut offline = Offline::open(directory, now)?;
                let fleet = offline.fleet();
                if let Some(known) = &mut known {
                    known.instances.extend(offline.instances());
                }
                let findings = look(&fleet, known.as_ref());
                let steps = heal::heal(&mut offline, &fleet, &findings, &options);
                output::note(&output::put_aside(offline.write()?.as_deref()))?;
                (findings, steps)
            }
            None => {
                let mut online = Online::new(&self.url.clone().unwrap_or_default(), self.token()?)?;
                let (fleet, findings) = look_online(&online, known.as_ref())?;
                let steps = heal::heal(&mut online, &fleet, &findings, &options);
                (findings, steps)
            }
        };
        self.show(&findings, &steps, now)?;
        Ok(if findings.is_empty() { Ending::Complete } else { Ending::Found })
    }

    fn token(&self) -> Result<String> {
        match (&self.token, std::env::var("OS_TOKEN")) {
            (Some(token), _) => Ok(token.clone()),
            (None, Ok(token)) => Ok(token),
            (None, Err(VarError::NotPresent)) => Ok("admin".to_owned()),
            (None, Err(error)) => Err(error).context("OS_TOKEN"),
        }
    }

    fn known(&self) -> Result<Option<Known>> {
        if self.instances.is_none() && !self.servers {
            return Ok(None);
        }
        let mut found = BTreeSet::new();
        if let Some(instances) = &self.instances {
            found = read_uuids(instances).context("--instances")?;
            if found.is_empty() {
                bail!(
                    "--instances: {}: no instances at all: everything would be leaked",
                    instances.display()
                );
            }
        }
        if self.servers {
            found.extend(operator::ask(&self.connection, async |client| server::uuids(&client).await)?);
        }
        let migrations = self.migrations.as_deref().map(read_uuids).transpose().context("--migrations")?;
        Ok(Some(Known { instances: found, migrations }))
    }

    fn show(&self, findings: &Findings, steps: &[Step], now: u64) -> Result<()> {
        if self.format.is_document() {
            let report = Report { findings, healing: steps };
            return self.format.print(&report);
        }
        output::print(&text::shown(findings, steps, now))
    }
}

fn look(fleet: &Fleet, known: Option<&Known>) -> Findings {
    Findings {
        leaked: known.map(|known| findings::leaked(fleet, known, &findings::unknown(fleet, known))),
        usage: findings::usage(fleet),
        over_capacity: findings::over_capacity(fleet),
        restless: fleet.restless.clone(),
    }
}

/// As [`look`], but requests details only for the consumers that are found.
fn look_online(online: &Online, known: Option<&Known>) -> Result<(Fleet, Findings)> {
    let mut fleet = online.read_fleet()?;
    let leaving = findings::over_capacity(&fleet);
    let leaving = leaving.iter().flat_map(|over| over.leaving.iter().map(|leaving| leaving.consumer));
    let interesting: BTreeSet<Uuid> = known
        .map(|known| findings::unknown(&fleet, known))
        .unwrap_or_default()
        .into_iter()
        .chain(leaving)
        .collect();
    let mut now: Vec<(Uuid, (Holdings, About))> = Vec::new();
    for consumer in interesting {
        now.push((consumer, online.read_consumer(consumer)?));
    }
    let mut judged = Fleet::default();
    for (consumer, (holds, about)) in now {
        if let Some(entry) = fleet.consumers.get_mut(&consumer) {
            entry.about = Some(about.clone());
        }
        let about = Some(about);
        judged.consumers.insert(consumer, fleet::Consumer { holds, about });
    }
    let findings = Findings {
        leaked: known.map(|known| {
            // What they hold now, with the generation that goes with it.
            let unknown = findings::unknown(&judged, known);
            let mut found = findings::leaked(&judged, known, &unknown);
            found
                .iter_mut()
                .flat_map(|leaked| &mut leaked.holds)
                .for_each(|held| held.name = fleet.name(held.provider));
            found
        }),
        usage: findings::usage(&fleet),
        over_capacity: findings::over_capacity(&fleet),
        restless: fleet.restless.clone(),
    };
    Ok((fleet, findings))
}

fn read_uuids(file: &Path) -> Result<BTreeSet<Uuid>> {
    let named = || file.display().to_string();
    let text = match file.to_str() {
        Some("-") => {
            let mut text = String::new();
            stdin().read_to_string(&mut text).map(|_| text)
        }
        _ => bounded_file::read_to_string(file, bounded_file::DOCUMENT),
    };
    let text = text.with_context(named)?;
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty());
    let read = |(number, line): (usize, &str)| {
        Uuid::parse_str(line)
            .with_context(|| format!("{}: line {number}: '{line}' is no UUID", file.display()))
    };
    lines.map(read).collect()
}
