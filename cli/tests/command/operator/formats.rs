//! `-f` and `-c`, and options before the command.

use berth_api::v1::{Flavor, ListFlavorsResponse};

use super::super::{run, stdout};
use super::{Fake, map};
use std::path::Path;

fn flavor() -> Flavor {
    Flavor {
        name: "m1.small".into(),
        vcpus: 2,
        memory_mb: 2048,
        extra_specs: map(&[("hw:cpu_policy", "dedicated")]).into_iter().collect(),
        ..Flavor::default()
    }
}

fn listed() -> ListFlavorsResponse {
    ListFlavorsResponse {
        flavors: vec![flavor(), Flavor { name: "tiny".into(), ..flavor() }],
        ..Default::default()
    }
}

#[test]
fn scripts_get_values_alone() {
    let fake = Fake::start();
    fake.answers("ListFlavors", listed());
    assert_eq!(fake.succeed("flavor list -f value -c name -c vcpus"), "m1.small 2\ntiny 2\n");
    fake.answers("GetFlavor", flavor());
    assert_eq!(fake.succeed("flavor show m1.small -f value -c VCPUs"), "2\n");
    // As the header of the table has it.
    fake.answers("ListFlavors", listed());
    let shown = fake.succeed("flavor list -c name -c memory_mb");
    assert_eq!(
        shown.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["name", "memory", "MiB"]
    );
    fake.answers("ListFlavors", listed());
    let message = fake.fail(1, "flavor list -c nmae");
    assert!(message.contains("--column: \"nmae\" is none of name, vcpus"), "{message}");
}

#[test]
fn documents_have_all_fields_or_those_that_are_wanted() {
    let fake = Fake::start();
    fake.answers("GetFlavor", flavor());
    let yaml = fake.succeed("flavor show m1.small -f yaml");
    assert!(yaml.lines().any(|line| line == "name: m1.small"), "{yaml}");
    assert!(yaml.contains("\"hw:cpu_policy\": dedicated"), "{yaml}");
    fake.answers("ListFlavors", listed());
    assert_eq!(fake.succeed("flavor list -f yaml -c name"), "- name: m1.small\n- name: tiny\n");
    fake.answers("ListFlavors", listed());
    let json = super::json(&fake.succeed("flavor list -f json -c name"));
    assert_eq!(json, serde_json::json!([{"name": "m1.small"}, {"name": "tiny"}]));
}

#[test]
fn options_of_the_service_may_stand_first() {
    let fake = Fake::start();
    fake.answers("ListFlavors", listed());
    let output = run(Path::new("."), ["--service", &fake.url, "-f", "value", "flavor", "list", "-c", "name"]);
    assert_eq!(stdout(&output), "m1.small\ntiny\n", "{output:?}");
}
