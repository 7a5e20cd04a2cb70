//! Where a state is: in a data directory, or in etcd.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use berth_server::{Contents, DataDir};
use berth_store::{EtcdReader, EtcdStore, EtcdStoreOptions};

use super::upkeep::time;
use crate::config::EtcdTable;
use crate::{etcd, output};

/// How long a command waits while a service is the writer of the state in etcd.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// A data directory, or a prefix in etcd.
pub(super) enum Place {
    Directory(PathBuf),
    Etcd(Box<EtcdStoreOptions>),
}

impl Place {
    /// The place that an argument names. A directory needs no settings.
    pub(super) fn parse(text: &str, etcd: &impl Fn() -> Result<EtcdTable>) -> Result<Self> {
        if !text.starts_with("etcd://") && !text.starts_with("etcds://") {
            return Ok(Self::Directory(text.into()));
        }
        let options = etcd::options(text, text, &etcd()?)?;
        Ok(Self::Etcd(Box::new(EtcdStoreOptions { patience: Some(PATIENCE), ..options })))
    }

    /// The state. Nothing is written.
    pub(super) fn load(&self) -> Result<Contents> {
        match self {
            Self::Directory(directory) => load(&DataDir::open_to_read(directory)?),
            Self::Etcd(options) => {
                let contents = EtcdReader::open(options)?.contents()?;
                contents.with_context(|| format!("{}: there is no state below this prefix", options.prefix))
            }
        }
    }

    /// Creates the state, reads it back and compares it. Returns a line about a store that was put
    /// aside.
    pub(super) fn create(&self, contents: &Contents, replace: bool) -> Result<String> {
        match self {
            Self::Directory(directory) => {
                let data = DataDir::open(directory)?;
                if !replace && data.has_state()? {
                    let directory = directory.display();
                    bail!("{directory}: there is a state already; --replace puts this one in its place");
                }
                let aside = data.replace(contents, &time()?)?;
                Ok(output::put_aside(aside.as_deref()))
            }
            Self::Etcd(_) if replace => {
                bail!("--replace: a state in etcd is not replaced; choose another prefix")
            }
            Self::Etcd(options) => {
                EtcdStore::create(options, contents)?;
                Ok(String::new())
            }
        }
    }
}

/// The state of a directory that no service has.
pub(super) fn load(data: &DataDir) -> Result<Contents> {
    let contents = data.load().map_err(|error| {
        let advice = error.is_damage().then(|| super::advice(data.path()));
        let error = anyhow::Error::from(error);
        match advice {
            Some(advice) => anyhow!("{error}\n{advice}"),
            None => error,
        }
    })?;
    contents.with_context(|| format!("{}: there is no state", data.path().display()))
}
