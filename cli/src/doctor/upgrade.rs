//! `berth upgrade check`: whether this version can take over from the one that runs.

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::path::Path;
use std::thread;

use anyhow::{Context, Result, anyhow};
use berth_api::v1::Host;
use berth_placement::Index;
use berth_server::{Contents, DataDir, StateReader, backup_online};
use berth_store::{DataError, EtcdReader, EtcdStoreOptions};
use clap::{Args, Subcommand};

use super::{Check, configuration, report};
use crate::config::{ServeSettings, Sources};
use crate::document::DocumentOptions;
use crate::operator::connection::Connection;
use crate::operator::{ask, host};
use crate::{BUILD, Ending, etcd, serve};

/// Check whether this version can take over from the one that runs
#[derive(Args)]
pub(crate) struct Upgrade {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Read configuration, state and agents with this version, and change nothing
    Check(UpgradeCheck),
}

#[derive(Args)]
#[command(after_help = "\
Run it with the new program while the old service runs: unpack the new package (dpkg-deb -x berth_*.deb new), then
new/usr/bin/berth upgrade check. Exit code 4 if something has to be done first.")]
struct UpgradeCheck {
    #[command(flatten)]
    sources: Sources,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    format: DocumentOptions,
}

impl Upgrade {
    pub(crate) fn run(self) -> Result<Ending> {
        let Action::Check(UpgradeCheck { sources, connection, format }) = self.action;
        let (first, settings) = configuration(sources);
        let mut checks = vec![first];
        checks.extend(settings.map(|settings| state(&settings.serve)));
        checks.push(agents(&connection));
        report(&checks, format)
    }
}

/// Whether this version reads the state.
fn state(settings: &ServeSettings) -> Check {
    const NAME: &str = "state";
    let summary = match (serve::directory(settings), etcd::store(settings)) {
        (Ok(Some(directory)), Ok(_)) => read(&directory),
        (Ok(None), Ok(Some(options))) => of_etcd(&options),
        (Ok(None), Ok(None)) => {
            return Check::warning(NAME, "serve.data is none: the state ends with the process");
        }
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    match summary {
        Ok(summary) => {
            Check::ok(NAME, format!("this version reads it: {summary}; make a backup before the upgrade"))
        }
        Err(error) => Check::failed(NAME, format!("{error:#}")),
    }
}

/// Reads the whole state, from the running service if there is one; says what it has.
fn read(directory: &Path) -> Result<String> {
    let contents = match DataDir::open_to_read(directory) {
        Ok(data) => data.load()?.with_context(|| format!("{}: there is no state", directory.display()))?,
        Err(DataError::InUse { .. }) => of_service(directory)?,
        Err(error) => return Err(error.into()),
    };
    Ok(summary(&contents))
}

fn of_etcd(options: &EtcdStoreOptions) -> Result<String> {
    let contents: Option<Contents> = EtcdReader::open(options)?.contents()?;
    Ok(summary(&contents.with_context(|| format!("{}: there is no state", options.prefix))?))
}

fn summary(contents: &Contents) -> String {
    let (summary, _) = contents.digest();
    format!("{} providers, {} records of the fleet", summary.providers, summary.fleet_records)
}

/// The state of the service that uses the directory, as a backup has it.
fn of_service(directory: &Path) -> Result<Contents> {
    let (reader, mut writer) = io::pipe()?;
    let from = directory.to_owned();
    let sending = thread::spawn(move || backup_online(&from, &mut writer));
    let mut state = StateReader::new(BufReader::with_capacity(1 << 20, reader));
    let index = Index::restore(state.by_ref());
    let fleet = state.into_fleet();
    sending.join().map_err(|_| anyhow!("the backup of the service broke off"))??;
    Ok(Contents { index: index?, fleet })
}

/// The versions of the agents.
fn agents(connection: &Connection) -> Check {
    const NAME: &str = "agents";
    match ask(connection, async |client| host::hosts(&client).await) {
        Ok(hosts) => judge(NAME, hosts),
        Err(error) => Check::warning(NAME, format!("not checked: {error:#}")),
    }
}

fn judge(name: &'static str, hosts: Vec<Host>) -> Check {
    let mut others = BTreeMap::<String, Vec<String>>::new();
    let count = hosts.len();
    for Host { name, hypervisor, .. } in hosts {
        let version = hypervisor.map(|known| known.agent_version).unwrap_or_default();
        if !version.is_empty() && version != BUILD.version {
            others.entry(version).or_default().push(name);
        }
    }
    if others.is_empty() {
        return Check::ok(name, format!("{count} hosts, none with another version than {}", BUILD.version));
    }
    let lines = others.into_iter().map(|(version, hosts)| {
        let shown = hosts.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        let more = if hosts.len() > 5 { ", …" } else { "" };
        format!("version {version} on {} hosts: {shown}{more}", hosts.len())
    });
    let advice = "upgrade the service first, then these agents: guests keep running";
    Check::warning(name, format!("{}\n{advice}", lines.collect::<Vec<_>>().join("\n")))
}

#[cfg(test)]
mod tests {
    use berth_api::v1::Hypervisor;

    use super::super::CheckState;
    use super::*;

    #[test]
    fn agents_of_other_versions_are_named() {
        let host = |name: &str, version: &str| Host {
            name: name.to_owned(),
            hypervisor: Some(Hypervisor { agent_version: version.to_owned(), ..Hypervisor::default() }),
            ..Host::default()
        };
        let same = judge("agents", vec![host("a", BUILD.version), Host::default()]);
        assert_eq!(same.state, CheckState::Ok, "{same:?}");
        let other = judge("agents", vec![host("a", BUILD.version), host("b", "0.0.9")]);
        assert_eq!(other.state, CheckState::Warning);
        assert!(other.detail.contains("version 0.0.9 on 1 hosts: b"), "{other:?}");
    }
}
