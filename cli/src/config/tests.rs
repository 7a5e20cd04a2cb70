//! The catalogue against the options themselves, the layers, and the documentation.

use std::collections::BTreeSet;
use std::time::Duration;

use berth_server::Limits;

use super::catalogue::{self, SETTINGS};
use super::layers::{Layers, Problem, Settings};

fn read(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[&str],
) -> Result<(Layers, Settings), Vec<Problem>> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("berth.toml");
    std::fs::write(&path, file).unwrap();
    let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let layers = Layers::read(Some(&path), environment, &flags).map_err(|problem| vec![problem])?;
    let settings = layers.settings()?;
    Ok((layers, settings))
}

fn problems(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Vec<String> {
    let problems = read(file, environment, flags).err().expect("something is wrong");
    problems.iter().map(Problem::to_string).collect()
}

/// A setting that is missing in the catalogue would be missing in the documentation, in `check` and
/// in `import`.
#[test]
fn the_catalogue_has_every_option_and_no_other() {
    let options = serde_json::to_value(Settings::default()).unwrap();
    let mut names = BTreeSet::new();
    collect_names("", &options, &mut names);
    let listed: Vec<String> = SETTINGS.iter().map(catalogue::Setting::path).collect();
    assert_eq!(names, listed.iter().cloned().collect::<BTreeSet<_>>());
    assert_eq!(listed.len(), listed.iter().collect::<BTreeSet<_>>().len(), "no setting twice");
}

fn collect_names(prefix: &str, options: &serde_json::Value, names: &mut BTreeSet<String>) {
    match options.as_object() {
        Some(table) => {
            for (name, option) in table {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                collect_names(&path, option, names);
            }
        }
        None => drop(names.insert(prefix.to_owned())),
    }
}

/// `berth config reference` prints what belongs between the marks.
#[test]
fn the_documentation_is_up_to_date() {
    let page = include_str!("../../../docs/configuration.md");
    let (_, rest) = page.split_once("<!-- settings -->\n").expect("the first mark");
    let (tables, _) = rest.split_once("\n<!-- end of settings -->").expect("the last mark");
    assert_eq!(tables.trim(), catalogue::reference().trim());
}

#[test]
fn later_layers_win_setting_by_setting() {
    let file = "[nova.scheduler]\nmax_attempts = 4\nworkers = 2\n[nova.filter_scheduler]\nenabled_filters = ['ComputeFilter']\n";
    let environment = [
        ("BERTH_NOVA__SCHEDULER__MAX_ATTEMPTS", "5"),
        ("BERTH_NOVA__DEFAULT__DEFAULT_AVAILABILITY_ZONE", "7"),
        ("BERTH_NOVA__FILTER_SCHEDULER__ISOLATED_HOSTS", "a, b"),
        ("BERTH_COMMIT", "not a setting"),
    ];
    let (layers, settings) = read(file, &environment, &["nova.scheduler.max_attempts=6"]).unwrap();
    assert_eq!(settings.nova.scheduler.max_attempts, 6);
    assert_eq!(settings.nova.scheduler.workers, Some(2));
    assert_eq!(settings.nova.general.default_availability_zone, "7");
    assert_eq!(settings.nova.filter_scheduler.isolated_hosts, ["a", "b"]);
    assert_eq!(settings.nova.filter_scheduler.enabled_filters.len(), 1);
    assert_eq!(layers.source("nova.scheduler.max_attempts"), "--set");
    assert!(layers.source("nova.scheduler.workers").ends_with("berth.toml"));
    let variable = "environment variable BERTH_NOVA__FILTER_SCHEDULER__ISOLATED_HOSTS";
    assert_eq!(layers.source("nova.filter_scheduler.isolated_hosts"), variable);
    assert_eq!(layers.source("nova.metrics.required"), "default");
}

#[test]
fn every_problem_is_named_with_its_source() {
    let file = "typo = 1\n[nova.filter_scheduler]\nenabled_filters = ['ComputeFilter', 'ComputFilter']\n\
        weight_classes = ['nova.scheduler.weights.ram.RAMWeigh']\npci_weight_multiplier = -1\nhost_subset_size = 0\n\
        ram_weight_multiplier = 'much'\n[nova.scheduler]\nmax_atempts = 3\nmax_attempts = -3\n";
    let found = problems(file, &[("BERTH_NOVA__METRICS__REQUIRED", "perhaps")], &["nova.compute.x=1"]);
    let expected = [
        ["nova.compute.x: ", "no such setting", "--set"],
        ["nova.filter_scheduler.enabled_filters: ", "ComputFilter", "berth.toml"],
        ["nova.filter_scheduler.host_subset_size: ", "less than 1", "berth.toml"],
        ["nova.filter_scheduler.pci_weight_multiplier: ", "negative", "berth.toml"],
        ["nova.filter_scheduler.ram_weight_multiplier: ", "\"much\" is not a number", "berth.toml"],
        ["nova.filter_scheduler.weight_classes: ", "RAMWeigh", "berth.toml"],
        ["nova.metrics.required: ", "\"perhaps\" is not true or false", "BERTH_NOVA__METRICS__REQUIRED"],
        ["nova.scheduler.max_atempts: ", "no such setting", "berth.toml"],
        ["nova.scheduler.max_attempts: ", "is out of range for a whole number", "berth.toml"],
        ["typo: ", "no such setting", "berth.toml"],
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (problem, words) in found.iter().zip(expected) {
        assert!(
            problem.starts_with(words[0]) && words.iter().all(|word| problem.contains(word)),
            "{problem}"
        );
    }
}

#[test]
fn limits_are_set_one_by_one() {
    let environment = [("BERTH_SERVE__LIMITS__BODY_TIME", "5")];
    let (_, settings) =
        read("[serve.limits]\nbody_bytes = 1000\n", &environment, &["serve.limits.candidate_work=7"])
            .unwrap();
    let expected = Limits {
        body_bytes: 1_000,
        body_time: Duration::from_secs(5),
        candidate_work: 7,
        ..Limits::default()
    };
    assert_eq!(settings.serve.limits.limits(), expected);
}

#[test]
fn limits_out_of_range_are_named() {
    let file = "[serve.limits]\nbody_bytes = 0\nbody_time = 90000\nlist_length = -1\nquery_bytes = 70000\nwork = 3\n";
    let environment = [("BERTH_SERVE__LIMITS__CANDIDATE_WORK", "much")];
    let found = problems(file, &environment, &["serve.limits.head_time=0"]);
    let expected = [
        ("serve.limits.body_bytes: ", "is less than 1"),
        ("serve.limits.body_time: ", "is more than 86400"),
        ("serve.limits.candidate_work: ", "\"much\" is not a whole number"),
        ("serve.limits.head_time: ", "is less than 1"),
        ("serve.limits.list_length: ", "is out of range for a whole number"),
        ("serve.limits.query_bytes: ", "is more than 65536"),
        ("serve.limits.work: ", "no such setting"),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (problem, (setting, words)) in found.iter().zip(expected) {
        assert!(problem.starts_with(setting) && problem.contains(words), "{problem}");
    }
}

#[test]
fn bad_files_and_flags_are_named() {
    assert!(problems("a = = 1\n", &[], &[])[0].contains("berth.toml: TOML parse error at line 1, column 5"));
    assert!(problems("nova = 3\n", &[], &[])[0].starts_with("nova: "));
    assert!(problems("[nova]\nscheduler = 3\n", &[], &[])[0].starts_with("nova.scheduler: "));
    for flag in ["nonsense", "=1", "", "nova.scheduler.max_attempts=", ".=1", "nova..x=1"] {
        assert_eq!(problems("", &[], &[flag]).len(), 1, "{flag}");
    }
}

#[test]
fn what_is_shown_can_be_read_back() {
    let text = toml::to_string_pretty(&Settings::default()).unwrap();
    assert_eq!(read(&text, &[], &[]).unwrap().1, Settings::default());
}
