//! `berth explain` of a running service prints what it prints of a case.

use std::path::Path;

use berth_api::v1::schedule_request::Size;
use berth_api::v1::*;

use super::super::{fail, run, stderr, stdout};
use super::{Fake, OTHER, map, texts};

/// What `berth explain` says of the example of the docs.
fn of_the_example(options: &str) -> String {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let line = format!("explain --case explain-example.json {options}");
    let output = run(&docs, line.split_whitespace());
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn the_service_is_asked_and_its_answer_printed_as_that_of_a_case() {
    let fake = Fake::start();
    for options in ["--host rack1-1 --top 2", "--tenant", "--tenant --json", "--json --top 0"] {
        let json = of_the_example(&format!("{} --json", options.replace("--json", "")));
        fake.answers("Explain", ExplainResponse { json, ..Default::default() });
        let output = fake.run(&format!("explain --flavor m1.small {options}"));
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let (shown, expected) = (stdout(&output), of_the_example(options));
        if options.contains("--json") {
            assert_eq!(super::json(&shown), super::json(&expected), "{options}");
        } else {
            assert_eq!(shown, expected, "{options}");
        }
    }
}

#[test]
fn the_question_has_all_that_was_asked() {
    let fake = Fake::start();
    fake.answers("GetServerGroup", ServerGroup { uuid: OTHER.into(), ..Default::default() });
    fake.answers("Explain", ExplainResponse { json: of_the_example("--json"), ..Default::default() });
    let output = fake.run(
        "explain --flavor m1.small --image i --image-property a=b --availability-zone az1:h --hint group=web --host x \
         --host y --top 5 --project shop",
    );
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(fake.asked::<GetServerGroupRequest>("GetServerGroup").project, "shop");
    let asked: ExplainRequest = fake.asked("Explain");
    assert_eq!((asked.hosts, asked.standings, asked.tenant_view), (texts(&["x", "y"]), 5, false));
    let request = asked.request.unwrap();
    assert_eq!(request.size, Some(Size::FlavorName("m1.small".into())));
    assert_eq!(request.image, Some(Image { name: "i".into(), properties: map(&[("a", "b")]) }));
    assert_eq!((request.project.as_str(), request.availability_zone.as_str()), ("shop", "az1:h"));
    assert_eq!(request.hints, [("group".to_owned(), Hints { values: texts(&[OTHER]) })].into());
    assert_eq!(request.instances.len(), 1);
}

#[test]
fn what_cannot_be_explained_is_said() {
    let fake = Fake::start();
    fake.answers("Explain", ExplainResponse { json: "{}".into(), ..Default::default() });
    assert!(fake.fail(1, "explain --flavor f").contains("cannot read the explanation"));
    for (line, words) in [
        ("explain", "--case"),
        ("explain --case c.json --flavor f", "--flavor"),
        ("explain --case c.json --hint a=b", "--hint"),
        ("explain --flavor f --hint _nova_check_type=rebuild", "names that begin with _ are internal"),
        ("explain --flavor f --placement", "--placement"),
        ("explain --flavor f --request r.json", "--request"),
        ("explain --flavor f --tenant --host h", "--host"),
    ] {
        let message = fail(Path::new("."), 2, line);
        assert!(message.contains(words), "{line}: {message}");
    }
}
