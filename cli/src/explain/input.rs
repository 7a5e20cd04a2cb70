//! Cases and requests as JSON, with errors that name file and field.

use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result};
use berth_process::bounded_file;
use berth_scheduler::RequestSpec;
use berth_scheduler::explain::CaseRecord;
use serde::de::DeserializeOwned;

use super::unknown;

/// Reads a case.
pub(super) fn case(path: &Path) -> Result<CaseRecord> {
    read(path)
}

/// Reads a request.
pub(super) fn request(path: &Path) -> Result<RequestSpec> {
    read(path)
}

/// What messages call the file.
pub(super) fn name(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = text(path).with_context(|| format!("cannot read {}", name(path)))?;
    unknown::refuse::<T>(&text).with_context(|| name(path))?;
    let mut json = serde_json::Deserializer::from_str(&text);
    let value = serde_path_to_error::deserialize(&mut json).with_context(|| name(path))?;
    json.end().with_context(|| name(path))?;
    Ok(value)
}

fn text(path: &Path) -> io::Result<String> {
    if !is_standard_input(path) {
        return bounded_file::read_to_string(path, bounded_file::DOCUMENT);
    }
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}
