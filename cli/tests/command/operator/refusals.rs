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

fn refused(code: Code, reason: &str, message: &str, facts: &[(&str, &str)]) -> Status {
    let mut info = ErrorInfo::new(reason, "berth", <[(String, String); 0]>::default());
    info.metadata.extend(facts.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    Status::with_error_details_vec(code, message, vec![info.into()])
}

/// A command that the service refuses.
struct Case {
    line: String,
    code: i32,
    method: &'static str,
    status: Status,
    /// What the message contains besides the status.
    hint: &'static str,
}

/// Every refusal that tests have the fake send, in a fleet with the instance `uuid`: see [`fleet`].
fn cases(uuid: &str) -> Vec<Case> {
    let precondition = |reason, message: &str| refused(Code::FailedPrecondition, reason, message, &[]);
    let missing = format!("server show {NO_SERVER}");
    let unpause = format!("server unpause {uuid}");
    let long = format!("aggregate create {}", "x".repeat(300));
    let cases = [
        ("host show x", 1, "GetHost", not_found("host", "x"), "berth host list"),
        ("aggregate show x", 1, "GetAggregate", not_found("aggregate", "x"), "berth aggregate list"),
        ("flavor show x", 1, "GetFlavor", not_found("flavor", "x"), "berth flavor list"),
        (
            "server-group show x",
            1,
            "GetServerGroup",
            not_found("server group", "x"),
            "berth server-group list",
        ),
        (&missing, 1, "Get", not_found("instance", NO_SERVER), "berth server list"),
        (&long, 1, "CreateAggregate", bad_field("name", "has 300 characters, and may have at most 255"), ""),
        (
            "flavor create small --vcpus 1 --ram 512",
            1,
            "CreateFlavor",
            Status::already_exists("there is a flavor small already"),
            "",
        ),
        (
            &unpause,
            1,
            "Unpause",
            precondition(
                "WRONG_STATE",
                &format!("instance {uuid} is active; unpause can be done when it is paused"),
            ),
            "",
        ),
        (
            "host delete host1",
            1,
            "DeleteHost",
            precondition("AGENT_CONNECTED", "the agent of host \"host1\" is connected"),
            "Stop the host's agent first",
        ),
        (
            "aggregate delete rack",
            1,
            "DeleteAggregate",
            precondition("IN_USE", "the aggregate \"rack\" has 1 host"),
            "",
        ),
        (
            "server create a --flavor huge",
            3,
            "Create",
            refused(Code::ResourceExhausted, "NO_VALID_HOST", NO_HOST, &[("placement", "1")]),
            "\n  placement: 1\n`berth explain`",
        ),
        (
            "server create a --flavor small --project poor",
            1,
            "Create",
            refused(Code::ResourceExhausted, "QUOTA_EXCEEDED", QUOTA, &[]),
            "berth quota show",
        ),
    ];
    let case = |(line, code, method, status, hint): (&str, _, _, _, _)| {
        let line = line.to_owned();
        Case { line, code, method, status, hint }
    };
    cases.into_iter().map(case).collect()
}

const NO_SERVER: &str = "3f2c1d60-0000-4000-8000-00000000000f";

const NO_HOST: &str =
    "No valid host was found: 0 of 1 instances could be placed on 1 hosts (placement removed 1)";

const QUOTA: &str =
    "project \"poor\" may have no more than 0 further instances of this size: its quota of instances";

#[test]
fn refusals_are_printed_with_their_details_and_a_hint() {
    let fake = Fake::start();
    for Case { line, code, method, status, hint } in cases(NO_SERVER) {
        let message = status.message().to_owned();
        fake.refuses(method, status);
        let printed = fake.fail(code, &line);
        assert!(printed.contains(&message) && printed.contains(hint), "{line}: {printed}");
    }
}

/// Statuses that no test can make the service send: they depend on roles, versions, time and races.
#[test]
fn failures_of_the_call_are_printed_with_a_hint() {
    let fake = Fake::start();
    let locked = "instance 3f2c1d60-0000-4000-8000-000000000001 is locked: audit";
    for (status, words) in [
        (refused(Code::FailedPrecondition, "LOCKED", locked, &[]), "audit (LOCKED)\n`berth server unlock`"),
        (Status::permission_denied("readers may not"), "readers may not\ndocs/tls.md"),
        (Status::unimplemented("no such call"), "another version"),
        (Status::deadline_exceeded("too late"), "did not answer in time"),
        (Status::aborted("changed"), "read it again, and retry"),
    ] {
        fake.refuses("Unpause", status);
        let message = fake.fail(1, "server unpause web");
        assert!(message.contains(words), "{words:?} is not in {message}");
    }
}

/// The service sends the same refusals as the fake. The fake invented counts that the service did
/// not send.
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
    run("aggregate create rack");
    run("aggregate add-host rack host1");
    let made = super::json(&run("server create it --flavor small --wait -f json"));
    let uuid = made["uuid"].as_str().unwrap().to_owned();
    run("quota set --project poor --instances 0");

    let fake = Fake::start();
    let differences = cases(&uuid).into_iter().filter_map(|Case { line, code, method, status, .. }| {
        fake.refuses(method, status);
        let canned = fake.fail(code, &line);
        let real = fail(here, code, &format!("{line} {service}"));
        (real != canned).then(|| format!("{line}:\n  service: {real}  fake:    {canned}"))
    });
    let differences: Vec<String> = differences.collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
