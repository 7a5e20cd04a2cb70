//! `nova.conf` as Berth's configuration, and what became of each option.

use std::fmt::Write;

use figment::value::Value;

use super::catalogue::{FORMER_FILTERS, Kind, REMARKS, SETTINGS, Setting, WITHOUT_SETTING};
use super::layers;
use super::nova_conf::{Assignment, NovaConf};

/// What was made of a `nova.conf`.
#[derive(Debug, Default)]
pub(super) struct Import {
    /// Settings with their values, and where each stood.
    carried: Vec<(&'static Setting, Value, Origin)>,
    /// Settings that the file does not name.
    left: Vec<&'static Setting>,
    /// Options, and items of lists, that Berth does not know or whose value is wrong: the
    /// configuration is not what the file says.
    refused: Vec<(Origin, String)>,
    /// Options, and items of lists, that need no counterpart, and why.
    without: Vec<(Origin, String)>,
}

/// An option in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    section: String,
    key: String,
    line: usize,
}

impl Origin {
    fn new(section: &str, key: &str, line: usize) -> Self {
        Self { section: section.to_owned(), key: key.to_owned(), line }
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "[{}] {} (line {})", self.section, self.key, self.line)
    }
}

/// Sections that belong to the scheduler as a whole: what is unknown in them is worth a word.
const OWN_SECTIONS: [&str; 3] = ["filter_scheduler", "scheduler", "metrics"];

impl Import {
    pub(super) fn of(conf: &NovaConf) -> Self {
        let mut import = Self::default();
        for setting in SETTINGS.iter().filter(|setting| !setting.is_own()) {
            import.take(conf, setting);
        }
        import.report_unknown(conf);
        import
    }

    fn take(&mut self, conf: &NovaConf, setting: &'static Setting) {
        let names = std::iter::once((setting.group, setting.name)).chain(setting.former.iter().copied());
        let mut given = names.filter_map(|(section, key)| {
            let assignment = conf.get(section, key)?;
            Some((Origin::new(section, key, assignment.line), assignment))
        });
        let Some((origin, assignment)) = given.next() else {
            self.left.push(setting);
            return;
        };
        for (former, _) in given {
            self.without.push((former, format!("[{}] {} goes before it", origin.section, origin.key)));
        }
        match self.read(conf, setting, &origin, assignment) {
            Ok(value) => self.carried.push((setting, value, origin)),
            Err(_) if assignment.value.trim().is_empty() => {
                self.without.push((origin, "it is empty, so its default holds".to_owned()));
            }
            Err(problem) => self.refused.push((origin, problem)),
        }
    }

    fn read(
        &mut self,
        conf: &NovaConf,
        setting: &Setting,
        origin: &Origin,
        assignment: &Assignment,
    ) -> Result<Value, String> {
        let text = conf
            .expand(&origin.section, &assignment.value)
            .map_err(|name| format!("it refers to ${name}, which has no value in the file"))?;
        let value = match setting.kind {
            Kind::Flag => flag(&text).map(Value::from),
            Kind::Integer => number::<i64>(&text, "a whole number").map(Value::from),
            Kind::Number => number::<f64>(&text, "a number").map(Value::from),
            Kind::Text if setting.name == "driver" => Ok(Value::from(driver(&text))),
            Kind::Text => Ok(Value::from(text)),
            Kind::List => self.list(setting, origin, &text).map(Value::from),
        }?;
        layers::check(&setting.path(), value.clone()).map(|()| value)
    }

    /// The items of a list. An error if Berth knows none of them: an empty list would mean that
    /// none is wanted.
    fn list(&mut self, setting: &Setting, origin: &Origin, text: &str) -> Result<Vec<String>, String> {
        let items = self.items(setting, origin, text);
        let is_empty = text.split(',').all(|item| item.trim().is_empty());
        if items.is_empty() && !is_empty {
            return Err("Berth knows none of its values; the default applies".to_owned());
        }
        Ok(items)
    }

    /// The items of a list, without those that Berth does not know.
    fn items(&mut self, setting: &Setting, origin: &Origin, text: &str) -> Vec<String> {
        let mut kept: Vec<String> = Vec::new();
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        for item in items {
            match layers::check(&setting.path(), Value::from(vec![item])) {
                Ok(()) => kept.push(item.to_owned()),
                Err(problem) => {
                    let former = FORMER_FILTERS.iter().find(|(name, _)| *name == item);
                    let (list, why) = match former {
                        Some((_, why)) => (&mut self.without, (*why).to_owned()),
                        None if setting.name == "enabled_filters" => {
                            (&mut self.refused, "Berth has no such filter".to_owned())
                        }
                        None => (&mut self.refused, problem),
                    };
                    list.push((origin.clone(), format!("{item}: {why}")));
                }
            }
        }
        kept
    }

    fn report_unknown(&mut self, conf: &NovaConf) {
        for section in std::iter::once("DEFAULT").chain(OWN_SECTIONS) {
            let why = format!("Nova reads [{section}] only, and nothing in this section");
            for (name, line) in conf.mistaken(section) {
                self.refused.push((Origin::new(name, "*", line), why.clone()));
            }
        }
        for (section, key, why) in WITHOUT_SETTING {
            for assignment in conf.all(section, key) {
                self.without.push((Origin::new(section, key, assignment.line), (*why).to_owned()));
            }
        }
        for section in OWN_SECTIONS {
            let known = |key: &str| {
                SETTINGS.iter().any(|setting| setting.group == section && setting.name == key)
                    || WITHOUT_SETTING.iter().any(|(group, name, _)| *group == section && *name == key)
            };
            let unknown: Vec<_> = conf.keys(section).filter(|key| !known(key)).map(str::to_owned).collect();
            for key in unknown {
                let line = conf.get(section, &key).map_or(0, |assignment| assignment.line);
                self.refused.push((Origin::new(section, &key, line), "Berth has no such setting".to_owned()));
            }
        }
    }

    /// How many options, or items of lists, have no counterpart.
    pub(super) const fn dropped(&self) -> usize {
        self.refused.len() + self.without.len()
    }

    /// How many of them the configuration lacks.
    pub(super) const fn refused(&self) -> usize {
        self.refused.len()
    }

    /// Berth's file.
    pub(super) fn to_toml(&self) -> String {
        let mut out = String::from("# Imported from nova.conf by `berth config import`.\n");
        let mut group = "";
        for (setting, value, _) in &self.carried {
            if setting.group != group {
                group = setting.group;
                let _ = write!(out, "\n[nova.{group}]\n");
            }
            let _ = writeln!(out, "{} = {}", setting.name, toml_text(value));
        }
        out
    }

    /// What became of every option, for people. What they have to look at comes first.
    pub(super) fn report(&self) -> String {
        let mut out = String::new();
        for (title, list) in
            [("Not carried over, to be checked", &self.refused), ("Not needed by Berth", &self.without)]
        {
            let _ = writeln!(out, "{title}: {}", list.len());
            for (origin, why) in list {
                let _ = writeln!(out, "  {origin}: {why}");
            }
        }
        let _ = writeln!(out, "Carried over: {}", self.carried.len());
        for (setting, value, origin) in &self.carried {
            let remark =
                REMARKS.iter().find(|(group, name, _)| (*group, *name) == (setting.group, setting.name));
            let remark = remark.map(|(_, _, remark)| format!("; {remark}")).unwrap_or_default();
            let _ = writeln!(out, "  {} = {}, from {origin}{remark}", setting.path(), toml_text(value));
        }
        let _ = writeln!(out, "Left at their defaults: {}", self.left.len());
        for setting in &self.left {
            let _ = writeln!(out, "  {}", setting.path());
        }
        out
    }
}

fn flag(text: &str) -> Result<bool, String> {
    match text.trim().to_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err(format!("'{text}' is not true or false")),
    }
}

fn number<T: std::str::FromStr>(text: &str, kind: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| format!("'{text}' is not {kind}"))
}

/// The driver's present name. Old files name its class.
fn driver(text: &str) -> String {
    let known = [
        ("filter_scheduler", "filter_scheduler"),
        ("caching", "caching_scheduler"),
        ("chance", "chance_scheduler"),
    ];
    let found = known.into_iter().find(|(part, _)| text.contains('.') && text.contains(part));
    found.map_or_else(|| text.to_owned(), |(_, name)| name.to_owned())
}

fn toml_text(value: &Value) -> String {
    toml::Value::try_from(value).map_or_else(|error| error.to_string(), |value| value.to_string())
}
