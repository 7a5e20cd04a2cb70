//! Reading the settings again on SIGHUP.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use berth_process::log::LogControl;
use berth_server::{Service, Tls};
use serde_json::Value;

use super::{Inputs, Serve, first};
use crate::config::Settings;

/// The settings that take effect at once. A policy file and the files of certificates are read
/// again, too.
const RELOADED: [&str; 5] =
    ["serve.log", "serve.policy", "serve.tls.certificate", "serve.tls.key", "serve.tls.client_ca"];

/// Where the settings come from, and what they act on.
pub(super) struct Reload {
    pub(super) options: Serve,
    /// The settings that the service was started with.
    pub(super) started: Settings,
    pub(super) log: LogControl,
    /// The certificates in use.
    pub(super) tls: Option<Tls>,
    pub(super) service: Arc<Service>,
}

impl Reload {
    /// Reads the settings again. Settings that `berth serve` would refuse change nothing.
    pub(super) fn run(&self) {
        match self.apply() {
            Ok(waiting) => {
                tracing::info!(settings = RELOADED.join(", "), "the settings were read again");
                for setting in waiting {
                    tracing::warn!(setting, "this change takes effect at the next start");
                }
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "the settings are refused; nothing has changed");
            }
        }
    }

    /// Applies what can be applied; returns the names of the other settings that have changed.
    fn apply(&self) -> Result<Vec<String>> {
        let settings = self.options.settings()?;
        let Inputs { log, policy, tls, .. } = Inputs::read(&settings.serve).map_err(first)?;
        self.log.set(log).context("serve.log")?;
        self.service.set_policy(policy);
        let mut waiting = changed(&self.started, &settings);
        match (&self.tls, &tls) {
            (Some(running), Some(new)) => running.renew(new),
            (None, None) => {}
            _ => waiting.push("serve.tls".to_owned()), // TLS begins or ends
        }
        Ok(waiting)
    }
}

/// The names of the settings whose change waits for the next start.
fn changed(before: &Settings, after: &Settings) -> Vec<String> {
    let (before, mut after) = (by_name(before), by_name(after));
    after.retain(|name, value| before.get(name) != Some(value));
    after.into_keys().filter(|name| !RELOADED.contains(&name.as_str())).collect()
}

fn by_name(settings: &Settings) -> BTreeMap<String, Value> {
    let mut named = BTreeMap::new();
    let tree = serde_json::to_value(settings).expect("settings are a tree of texts and numbers");
    add(&mut named, String::new(), tree);
    named
}

fn add(named: &mut BTreeMap<String, Value>, name: String, value: Value) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let name = if name.is_empty() { member } else { format!("{name}.{member}") };
                add(named, name, value);
            }
        }
        value => drop(named.insert(name, value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_that_wait_are_named() {
        let (before, mut after) = (Settings::default(), Settings::default());
        after.serve.log = "debug".to_owned();
        after.serve.limits.body_values += 1;
        after.serve.public_url = Some("https://placement.example.com".to_owned());
        assert_eq!(changed(&before, &after), ["serve.limits.body_values", "serve.public_url"]);
    }
}
