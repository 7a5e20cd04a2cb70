//! `berth config`: check, show and import the configuration.

mod catalogue;
mod import;
mod layers;
mod limits;
mod listen;
mod nova_conf;
mod nova_placement;
mod nova_service;
mod serve;
#[cfg(test)]
mod tests;
mod url;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use berth_process::bounded_file;
use berth_scheduler::Options;
use berth_scheduler::options::LifetimeFile;
use clap::{Args, Subcommand};

use crate::table::{Cell, Grid};
use crate::{Ending, output};
use catalogue::SETTINGS;
use import::Import;
use layers::Layers;
use nova_conf::NovaConf;

pub(crate) use layers::Settings;
pub(crate) use nova_service::nova_settings;
pub(crate) use serve::{AuthChoice, EtcdTable, KeystoneTable, LogFormat, ServeSettings, TlsTable};

/// Check, show or import the configuration
#[derive(Args)]
#[command(after_help = "\
Settings come from the file, then from environment variables such as BERTH_NOVA__SCHEDULER__MAX_ATTEMPTS=5, then from
--set nova.scheduler.max_attempts=5. The last one wins. docs/configuration.md lists all settings.")]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Show the value and source of each setting, or every error that `berth serve` would end with
    Check(Sources),
    /// Print the configuration in effect as TOML
    Show(Sources),
    /// Print every setting with its meaning, unit and default, as Markdown
    Reference,
    /// Convert the scheduler's options of a nova.conf; exit code 4 if some were not understood
    Import(ImportFile),
}

/// Where settings come from.
#[derive(Args, Clone)]
pub(crate) struct Sources {
    /// The configuration file [default: /etc/berth/berth.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting that overrides file and environment (may be repeated)
    #[arg(long, value_name = "SETTING=VALUE")]
    set: Vec<String>,
}

#[derive(Args)]
struct ImportFile {
    /// The nova.conf to read
    #[arg(value_name = "NOVA_CONF")]
    file: PathBuf,
    /// The file to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Config {
    pub(crate) fn run(self) -> Result<Ending> {
        match self.action {
            Action::Check(sources) => output::print(&sources.checked()?)?,
            Action::Show(sources) => {
                output::print_document(&toml::to_string_pretty(&sources.read(Vec::new())?.1)?)?;
            }
            Action::Reference => output::print_document(&catalogue::reference())?,
            Action::Import(import) => return import.run(),
        }
        Ok(Ending::Complete)
    }
}

impl Sources {
    /// The settings in effect. Options of the command line, as (option, setting, text), go before
    /// all others.
    pub(crate) fn settings(self, options: Vec<(&str, &str, String)>) -> Result<Settings> {
        Ok(self.read(options)?.1)
    }

    fn read(self, options: Vec<(&str, &str, String)>) -> Result<(Layers, Settings)> {
        let file = layers::file(self.config).map_err(|problem| anyhow!("{problem}"))?;
        // All variables of settings are UTF-8: environment::check.
        let environment = std::env::vars_os()
            .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
        let layers =
            Layers::read(file.as_deref(), environment, &self.set).map_err(|problem| anyhow!("{problem}"))?;
        let layers =
            options.into_iter().fold(layers, |layers, (option, path, text)| layers.with(option, path, text));
        let settings = layers.settings().map_err(|problems| anyhow!(listed(&problems)))?;
        Ok((layers, settings))
    }

    /// Every setting with its value and source.
    ///
    /// # Errors
    /// `berth serve` would refuse the settings, or what the files that they name contain.
    fn checked(self) -> Result<String> {
        let (layers, settings) = self.read(Vec::new())?;
        let problems = crate::serve::problems(&settings);
        if !problems.is_empty() {
            bail!(listed(&problems));
        }
        let mut table = Grid::new(["setting", "value", "from"]);
        for setting in SETTINGS {
            let value = layers::value_text(&settings, setting).unwrap_or_else(|| "(unset)".to_owned());
            let value = Cell::lines(wrapped(&value));
            table.row([setting.path().into(), value, layers.source(&setting.path()).into()]);
        }
        Ok(table.text() + "The configuration is valid.\n")
    }
}

/// The environment variables of all settings.
pub(crate) fn variables() -> impl Iterator<Item = String> {
    SETTINGS.iter().map(|setting| layers::variable(&setting.path()))
}

/// The lines of a value: a long list is broken between its items.
fn wrapped(value: &str) -> Vec<String> {
    const WIDTH: usize = 40;
    let mut lines = vec![String::new()];
    for item in value.split_inclusive(", ") {
        let is_full = lines.last().is_some_and(|line| !line.is_empty() && line.len() + item.len() > WIDTH);
        if is_full {
            lines.push(String::new());
        }
        lines.last_mut().expect("a first line").push_str(item);
    }
    lines
}

fn listed<T: std::fmt::Display>(problems: &[T]) -> String {
    let lines: Vec<_> = problems.iter().map(|problem| format!("  {problem}")).collect();
    format!("the configuration has {} error(s):\n{}", problems.len(), lines.join("\n"))
}

impl ImportFile {
    fn run(self) -> Result<Ending> {
        let import = Import::of(&read_nova_conf(&self.file)?);
        match &self.output {
            Some(file) => {
                output::write_file(file, &import.to_toml())?;
                output::print(&import.report())?;
            }
            None => {
                output::note(&import.report())?;
                output::print_document(&import.to_toml())?;
            }
        }
        Ok(if import.refused() == 0 { Ending::Complete } else { Ending::Found })
    }
}

/// The lifetimes that the settings name a file of; none without one.
pub(crate) fn lifetimes(serve: &ServeSettings) -> Result<Arc<LifetimeFile>> {
    let Some(file) = &serve.lifetimes else { return Ok(Arc::default()) };
    let named = || format!("serve.lifetimes: {}", file.display());
    let bytes = bounded_file::read(file, bounded_file::SETTINGS).with_context(named)?;
    let text = String::from_utf8(bytes).context("is not UTF-8").with_context(named)?;
    Ok(Arc::new(LifetimeFile::parse(&text).with_context(named)?))
}

/// The scheduler's options in a nova.conf.
pub(crate) fn nova_options(file: &Path) -> Result<Options> {
    options_of(&read_nova_conf(file)?, file)
}

/// The scheduler's options in a nova.conf that was read already.
fn options_of(conf: &NovaConf, file: &Path) -> Result<Options> {
    let import = Import::of(conf);
    let dropped = import.dropped();
    if dropped > 0 {
        let file = file.display();
        eprintln!("berth: {file}: {dropped} options have no effect; `berth config import {file}` lists them");
    }
    let settings: Settings = toml::from_str(&import.to_toml()).context("cannot carry the options over")?;
    Ok(settings.nova)
}

fn read_nova_conf(file: &Path) -> Result<NovaConf> {
    let bytes = bounded_file::read(file, bounded_file::SETTINGS)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let Ok(text) = String::from_utf8(bytes) else { bail!("{} is not UTF-8", file.display()) };
    NovaConf::parse(&text).map_err(|error| anyhow!("{}:{}: {}", file.display(), error.line, error.problem))
}
