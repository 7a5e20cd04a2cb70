//! Options of the form KEY=VALUE.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use berth_api::v1::Hints;
use berth_scheduler::request_spec::SchedulerHints;

/// Splits one of them.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("has to be KEY=VALUE".to_owned()),
    }
}

/// All of them; a key may be given once.
pub(crate) fn map(option: &str, pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        if map.contains_key(&key) {
            bail!("{option}: {key} is given twice");
        }
        map.insert(key, value);
    }
    Ok(map)
}

/// Splits a hint. Names that begin with `_` are internal: the service drops such hints, so the user
/// learns of it here.
pub(crate) fn hint(text: &str) -> Result<(String, String), String> {
    let (name, value) = pair(text)?;
    if SchedulerHints::is_internal(&name) {
        return Err(format!("{name}: names that begin with _ are internal to the scheduler"));
    }
    Ok((name, value))
}

/// Hints: a key that is given several times has several values.
pub(crate) fn hints(pairs: Vec<(String, String)>) -> BTreeMap<String, Hints> {
    let mut hints: BTreeMap<String, Hints> = BTreeMap::new();
    for (name, value) in pairs {
        hints.entry(name).or_default().values.push(value);
    }
    hints
}
