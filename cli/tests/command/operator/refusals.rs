//! Refusals of the service, in words.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, ErrorInfo, StatusExt};

use super::Fake;

fn not_found(kind: &str, name: &str) -> Status {
    let message = format!("there is no {kind} {name}");
    Status::with_error_details(
        Code::NotFound,
        message.clone(),
        ErrorDetails::with_resource_info(kind, name, "", message),
    )
}

fn refused(code: Code, reason: &str, message: &str, facts: &[(&str, &str)]) -> Status {
    let mut info = ErrorInfo::new(reason, "berth", <[(String, String); 0]>::default());
    info.metadata.extend(facts.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    Status::with_error_details_vec(code, message, vec![info.into()])
}

#[test]
fn a_bad_field_is_named_with_what_would_be_valid() {
    let fake = Fake::start();
    let mut details =
        ErrorDetails::with_bad_request_violation("name", "has 300 characters, and may have at most 255");
    details.add_bad_request_violation("metadata[a]", "has to be a text");
    fake.refuses("CreateAggregate", Status::with_error_details(Code::InvalidArgument, "bad", details));
    let message = fake.fail(1, "aggregate create x");
    let expected =
        "berth: name: has 300 characters, and may have at most 255\nmetadata[a]: has to be a text\n";
    assert_eq!(message, expected);
}

#[test]
fn what_is_not_there_is_named_with_the_command_that_lists_what_is() {
    let fake = Fake::start();
    for (line, method, kind, list) in [
        ("host show x", "GetHost", "host", "berth host list"),
        ("aggregate show x", "GetAggregate", "aggregate", "berth aggregate list"),
        ("flavor show x", "GetFlavor", "flavor", "berth flavor list"),
        ("server-group show x", "GetServerGroup", "server group", "berth server-group list"),
        ("server show x", "Get", "instance", "berth server list"),
    ] {
        fake.refuses(method, not_found(kind, "x"));
        let message = fake.fail(1, line);
        assert!(message.contains(&format!("there is no {kind} x")) && message.contains(list), "{message}");
    }
}

#[test]
fn reasons_are_told_with_their_facts_and_what_to_do() {
    let fake = Fake::start();
    for (status, words) in [
        (
            refused(Code::FailedPrecondition, "WRONG_STATE", "web is PAUSED", &[("from", "ACTIVE")]),
            "web is PAUSED (WRONG_STATE)\n  from: ACTIVE",
        ),
        (refused(Code::FailedPrecondition, "LOCKED", "web is locked", &[]), "berth server unlock"),
        (Status::permission_denied("readers may not"), "readers may not\ndocs/tls.md"),
        (Status::unimplemented("no such call"), "another version"),
        (Status::deadline_exceeded("too late"), "did not answer in time"),
        (Status::aborted("changed"), "try again"),
    ] {
        fake.refuses("Unpause", status);
        let message = fake.fail(1, "server unpause web");
        assert!(message.contains(words), "{words:?} is not in {message}");
    }
}

#[test]
fn no_host_and_no_quota_tell_what_to_look_at() {
    let fake = Fake::start();
    let facts = [("ComputeFilter", "3"), ("placement: zone az1", "12")];
    fake.refuses(
        "Create",
        refused(Code::ResourceExhausted, "NO_VALID_HOST", "no valid host was found", &facts),
    );
    let message = fake.fail(3, "server create a --flavor f");
    for words in ["no valid host", "\n  ComputeFilter: 3\n  placement: zone az1: 12\n", "berth explain"] {
        assert!(message.contains(words), "{words:?} is not in {message}");
    }
    fake.refuses("Create", refused(Code::ResourceExhausted, "QUOTA_EXCEEDED", "11 of 10 instances", &[]));
    assert!(fake.fail(1, "server create a --flavor f").contains("berth quota show"));
}
