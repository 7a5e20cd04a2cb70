//! Refusals of the service, in words.

use std::time::Duration;

use tempfile::tempdir;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, ErrorInfo, StatusExt};

use super::super::agents::joined;
use super::super::serve::Serving;
use super::super::{fail, succeed};
use super::Fake;

fn not_found(kind: &str, name: &str) -> Status {
    let message = format!("there is no {kind} {name}");
    Status::with_error_details(
        Code::NotFound,
        message.clone(),
        ErrorDetails::with_resource_info(kind, name, "", message),
    )
}

fn bad_field(field: &str, what: &str) -> Status {
    let details = ErrorDetails::with_bad_request_violation(field, what);
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {what}"), details)
}

const TOO_LONG: &str = "has 300 characters; 1 to 255 are allowed";

fn refused(code: Code, reason: &str, message: &str, facts: &[(&str, &str)]) -> Status {
    let mut info = ErrorInfo::new(reason, "berth", <[(String, String); 0]>::default());
    info.metadata.extend(facts.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    Status::with_error_details_vec(code, message, vec![info.into()])
}

#[test]
fn a_bad_field_is_named_with_what_would_be_valid() {
    let fake = Fake::start();
    fake.refuses("CreateAggregate", bad_field("name", TOO_LONG));
    let message = fake.fail(1, "aggregate create x");
    assert_eq!(message, format!("berth: name: {TOO_LONG}\n"));
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
fn reasons_are_printed_with_their_details_and_a_hint() {
    let fake = Fake::start();
    for (status, words) in [
        (
            refused(Code::FailedPrecondition, "WRONG_STATE", "web is paused", &[]),
            "web is paused (WRONG_STATE)\n",
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

/// The only host has no capacity.
fn no_valid_host() -> Status {
    let message =
        "No valid host was found: 0 of 1 instances could be placed on 1 hosts (the query removed 1)";
    refused(Code::ResourceExhausted, "NO_VALID_HOST", message, &[("the query", "1")])
}

#[test]
fn no_host_and_no_quota_name_the_command_that_explains() {
    let fake = Fake::start();
    fake.refuses("Create", no_valid_host());
    let message = fake.fail(3, "server create a --flavor f");
    for words in ["No valid host", "\n  the query: 1\n", "berth explain"] {
        assert!(message.contains(words), "{words:?} is not in {message}");
    }
    fake.refuses("Create", refused(Code::ResourceExhausted, "QUOTA_EXCEEDED", "11 of 10 instances", &[]));
    assert!(fake.fail(1, "server create a --flavor f").contains("berth quota show"));
}

/// What these tests have the fake refuse, the service refuses with the same words: the fake invented counts that the service
/// did not send.
#[test]
fn the_service_refuses_as_the_fake_does() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    let serving = Serving::start(&[]);
    let service = format!("--service http://{}", serving.grpc);
    let _agent = joined(&serving);
    let run = |line: &str| succeed(here, &format!("{line} {service}"));
    while !run("host list").contains("up") {
        std::thread::sleep(Duration::from_millis(20));
    }
    run("flavor create small --vcpus 1 --ram 512");
    run("flavor create huge --vcpus 1000 --ram 512");
    let made = super::json(&run("server create it --flavor small --wait -f json"));
    let uuid = made["uuid"].as_str().unwrap().to_owned();
    run("quota set poor --instances 0");

    let fake = Fake::start();
    let wrong_state = format!("instance {uuid} is active; unpause can be done when it is paused");
    let long = "x".repeat(300);
    for (line, code, method, status) in [
        ("host show x".to_owned(), 1, "GetHost", not_found("host", "x")),
        ("aggregate show x".to_owned(), 1, "GetAggregate", not_found("aggregate", "x")),
        ("flavor show x".to_owned(), 1, "GetFlavor", not_found("flavor", "x")),
        (format!("server show {NO_SERVER}"), 1, "Get", not_found("instance", NO_SERVER)),
        (format!("aggregate create {long}"), 1, "CreateAggregate", bad_field("name", TOO_LONG)),
        (
            format!("server unpause {uuid}"),
            1,
            "Unpause",
            refused(Code::FailedPrecondition, "WRONG_STATE", &wrong_state, &[]),
        ),
        ("server create a --flavor huge".to_owned(), 3, "Create", no_valid_host()),
        (
            "server create a --flavor small --project poor".to_owned(),
            1,
            "Create",
            refused(Code::ResourceExhausted, "QUOTA_EXCEEDED", QUOTA, &[]),
        ),
    ] {
        fake.refuses(method, status);
        let canned = fake.fail(code, &line);
        assert_eq!(fail(here, code, &format!("{line} {service}")), canned, "{line}");
    }
}

const NO_SERVER: &str = "3f2c1d60-0000-4000-8000-00000000000f";

const QUOTA: &str =
    "project \"poor\" may have no more than 0 further instances of this size: its quota of instances";
