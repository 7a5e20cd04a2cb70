//! The catalogue against the options themselves, the layers, and the documentation.

use std::collections::BTreeSet;

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

/// A setting that is missing in the catalogue would be missing in the documentation, in `check` and in `import`.
#[test]
fn the_catalogue_has_every_option_and_no_other() {
    let options = serde_json::to_value(Settings::default()).unwrap();
    let groups = options["nova"].as_object().unwrap();
    let names = groups.iter().flat_map(|(group, options)| {
        options.as_object().unwrap().keys().map(move |name| format!("nova.{group}.{name}"))
    });
    let listed: Vec<String> = SETTINGS.iter().map(catalogue::Setting::path).collect();
    assert_eq!(names.collect::<BTreeSet<_>>(), listed.iter().cloned().collect::<BTreeSet<_>>());
    assert_eq!(listed.len(), listed.iter().collect::<BTreeSet<_>>().len(), "no setting twice");
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
