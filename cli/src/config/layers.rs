//! The configuration as layers: defaults, file, environment, flags. The later one wins, setting by
//! setting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use berth_process::bounded_file;
use berth_scheduler::Options;
use figment::error::Kind as ErrorKind;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};
use serde::{Deserialize, Serialize};

use super::catalogue::{Kind, SETTINGS, Setting};
use super::serve::ServeSettings;

/// Where the file is looked for when none is named.
pub(super) const DEFAULT_FILE: &str = "/etc/berth/berth.toml";

/// Everything that can be configured.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Options of the scheduler, by the names that `nova.conf` has for them.
    pub(crate) nova: Options,
    /// The settings of `berth serve`.
    pub(crate) serve: ServeSettings,
}

/// The layers above the defaults.
pub(super) struct Layers {
    given: Figment,
}

/// What is wrong, where it comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) setting: String,
    pub(super) problem: String,
    pub(super) source: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.setting.as_str() {
            "" => write!(out, "{}: {}", self.source, self.problem),
            setting => write!(out, "{setting}: {} (from {})", self.problem, self.source),
        }
    }
}

/// One value from the environment or the command line.
struct Single {
    source: String,
    path: String,
    text: String,
}

impl Provider for Single {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let nested = figment::util::nest(&self.path, self.value());
        let dict = nested.into_dict().ok_or_else(|| Error::from("no setting is named".to_owned()))?;
        Ok(Profile::Default.collect(dict))
    }
}

impl Single {
    /// The text as the kind of its setting. A list may be written as in TOML, or with commas only.
    fn value(&self) -> Value {
        match SETTINGS.iter().find(|setting| setting.path() == self.path).map(|setting| setting.kind) {
            Some(Kind::Text) => Value::from(self.text.as_str()),
            Some(Kind::List) if !self.text.trim_start().starts_with('[') => {
                let items = self.text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Value::from(items.collect::<Vec<_>>())
            }
            _ => self.text.parse().unwrap_or_else(|never| match never {}),
        }
    }
}

impl Layers {
    /// Reads a file, settings of the environment (`BERTH_NOVA__…`, `BERTH_SERVE__…`) and those of
    /// the command line (`path=value`).
    ///
    /// # Errors
    ///
    /// The file cannot be read, is not TOML, or a setting of the command line is not `path=value`.
    pub(super) fn read(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        flags: &[String],
    ) -> Result<Self, Problem> {
        let mut given = Figment::new();
        if let Some(file) = file {
            given = given.merge(toml(file)?);
        }
        let variables: BTreeMap<_, _> = environment.collect();
        for (name, text) in variables {
            if let Some(path) = path_of_variable(&name) {
                given = given.merge(Single { source: format!("environment variable {name}"), path, text });
            }
        }
        for flag in flags {
            given = given.merge(single_of_flag(flag)?);
        }
        Ok(Self { given })
    }

    /// A layer above these: one option of the command line.
    pub(super) fn with(self, option: &str, path: &str, text: String) -> Self {
        let single = Single { source: option.to_owned(), path: path.to_owned(), text };
        Self { given: self.given.merge(single) }
    }

    /// The settings in effect, or everything that is wrong with them.
    pub(super) fn settings(&self) -> Result<Settings, Vec<Problem>> {
        let problems = self.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let all = Figment::from(Serialized::defaults(Settings::default())).merge(&self.given);
        let settings: Settings =
            all.extract().map_err(|error| vec![self.problem("", &error.kind.to_string())])?;
        match settings.serve.conflict() {
            Some((path, problem)) => Err(vec![self.problem(path, &problem)]),
            None => Ok(settings),
        }
    }

    /// Where a setting's value comes from.
    pub(super) fn source(&self, path: &str) -> String {
        let Some(metadata) = self.given.find_metadata(path) else { return "default".to_owned() };
        match metadata.source.as_ref().and_then(|source| source.file_path()) {
            Some(file) => file.display().to_string(),
            None => metadata.name.to_string(),
        }
    }

    fn problems(&self) -> Vec<Problem> {
        let mut leaves = Vec::new();
        match self.given.data() {
            Ok(profiles) => profiles.into_values().for_each(|dict| collect_leaves("", dict, &mut leaves)),
            Err(error) => return vec![self.problem("", &error.kind.to_string())],
        }
        leaves
            .into_iter()
            .filter_map(|(path, value)| Some(self.problem(&path, &check(&path, value).err()?)))
            .collect()
    }

    fn problem(&self, path: &str, problem: &str) -> Problem {
        Problem { setting: path.to_owned(), problem: problem.to_owned(), source: self.source(path) }
    }
}

/// Whether a single setting is known, of its type and in its range; the other settings stay at
/// their defaults.
pub(super) fn check(path: &str, value: Value) -> Result<(), String> {
    let nested = figment::util::nest(path, value);
    let single = Figment::from(Serialized::globals(nested));
    let settings: Settings = single.extract().map_err(|error| message(&error.kind))?;
    settings.nova.validate().map_err(|invalid| invalid.problem.to_owned())?;
    settings.serve.validate()
}

/// The error in words that do not name Rust's types.
fn message(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::UnknownField(_, _) => "no such setting".to_owned(),
        ErrorKind::InvalidType(found, expected) => format!("{found} is not {}", plain(expected)),
        ErrorKind::InvalidValue(found, expected) => {
            format!("{found} is out of range for {}", plain(expected))
        }
        ErrorKind::UnknownVariant(name, known) => format!("'{name}' is none of {}", known.join(", ")),
        other => other.to_string(),
    }
}

fn plain(expected: &str) -> &str {
    match expected {
        "bool" => "true or false",
        "a boolean" => "true or false",
        "f64" => "a number",
        "a sequence" => "a list",
        other if ["u", "i"].iter().any(|sign| other.starts_with(sign)) && other.len() <= 5 => {
            "a whole number"
        }
        other => other,
    }
}

fn toml(file: &Path) -> Result<figment::providers::Data<Toml>, Problem> {
    let text = bounded_file::read_to_string(file, bounded_file::SETTINGS)
        .map_err(|error| problem_of_file(file, &error.to_string()))?;
    toml::from_str::<toml::Table>(&text)
        .map_err(|error| problem_of_file(file, error.to_string().trim_end()))?;
    Ok(Toml::file_exact(file))
}

fn problem_of_file(file: &Path, problem: &str) -> Problem {
    Problem { setting: String::new(), problem: problem.to_owned(), source: file.display().to_string() }
}

/// The environment variable of a setting.
pub(super) fn variable(path: &str) -> String {
    format!("BERTH_{}", path.replace('.', "__").to_uppercase())
}

/// `BERTH_NOVA__FILTER_SCHEDULER__HOST_SUBSET_SIZE` is `nova.filter_scheduler.host_subset_size`.
fn path_of_variable(name: &str) -> Option<String> {
    let path = name.strip_prefix("BERTH_").filter(|path| {
        let table = path.split_once("__").map(|(table, _)| table);
        matches!(table, Some("NOVA" | "SERVE"))
    })?;
    let segments = path.split("__").map(|segment| match segment {
        "DEFAULT" => segment.to_owned(),
        _ => segment.to_lowercase(),
    });
    Some(segments.collect::<Vec<_>>().join("."))
}

fn single_of_flag(flag: &str) -> Result<Single, Problem> {
    let problem = || Problem {
        setting: flag.to_owned(),
        problem: "is not SETTING=VALUE".to_owned(),
        source: "--set".to_owned(),
    };
    let (path, text) =
        flag.split_once('=').filter(|(path, _)| !path.trim().is_empty()).ok_or_else(problem)?;
    Ok(Single { source: "--set".to_owned(), path: path.trim().to_owned(), text: text.to_owned() })
}

fn collect_leaves(prefix: &str, dict: Dict, leaves: &mut Vec<(String, Value)>) {
    for (key, value) in dict {
        let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Dict(_, inner) => collect_leaves(&path, inner, leaves),
            value => leaves.push((path, value)),
        }
    }
}

/// The file to read: the given one, or the usual one if it exists.
///
/// # Errors
///
/// It is unknown whether the usual file exists: without it, the service might run with other
/// settings.
pub(super) fn file(named: Option<PathBuf>) -> Result<Option<PathBuf>, Problem> {
    if named.is_some() {
        return Ok(named);
    }
    let usual = PathBuf::from(DEFAULT_FILE);
    match usual.try_exists() {
        Ok(exists) => Ok(exists.then_some(usual)),
        Err(error) => Err(problem_of_file(&usual, &error.to_string())),
    }
}

/// A setting's value as TOML writes it; none when it is unset.
pub(super) fn value_text(settings: &Settings, setting: &Setting) -> Option<String> {
    let all = toml::Value::try_from(settings).ok()?;
    setting.path().split('.').try_fold(&all, |table, name| table.get(name)).map(ToString::to_string)
}
