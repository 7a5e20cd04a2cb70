//! Servers: made, listed, shown and acted on.

use std::fs;
use std::path::Path;

use berth_api::v1::*;
use serde_json::json;
use tempfile::tempdir;
use tonic::{Code, Status};

use super::super::{fail, run, stderr};
use super::{AT, AT_TEXT, Fake, OTHER, UUID, assert_lines, busy, instance, map, texts};

fn made(instances: &[Instance]) -> CreateInstancesResponse {
    CreateInstancesResponse { instances: instances.to_vec() }
}

#[test]
fn the_options_of_server_create_reach_the_service() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("seed"), "#cloud-config\n").unwrap();
    let fake = Fake::start();
    fake.answers("GetServerGroup", ServerGroup { uuid: OTHER.into(), ..Default::default() });
    fake.answers("Create", made(&[instance(UUID, "web", "BUILD")]));
    let line = format!(
        "server create web --flavor m1.small --image debian.qcow2 --image-property hw_machine_type=q35 \
         --availability-zone az1:compute-7 --hint group=web --hint different_host=a --hint different_host=b --min 2 \
         --max 3 --user-data seed --property role=front --project shop --user alice --idempotency-key k1 --key-name laptop \
         --service {}",
        fake.url
    );
    let output = run(directory.path(), line.split_whitespace());
    assert!(output.status.success(), "{}", stderr(&output));
    let group: GetServerGroupRequest = fake.asked("GetServerGroup");
    assert_eq!((group.group.as_str(), group.project.as_str()), ("web", "shop"));
    let hint = |values: &[&str]| Hints { values: texts(values) };
    let expected = CreateInstancesRequest {
        name: "web".into(),
        flavor: "m1.small".into(),
        image: Some(Image { name: "debian.qcow2".into(), properties: map(&[("hw_machine_type", "q35")]) }),
        project: "shop".into(),
        user: "alice".into(),
        availability_zone: "az1:compute-7".into(),
        hints: [("different_host".into(), hint(&["a", "b"])), ("group".into(), hint(&[OTHER]))].into(),
        min_count: 2,
        max_count: 3,
        user_data: "#cloud-config\n".into(),
        metadata: map(&[("role", "front")]),
        idempotency_key: "k1".into(),
        key_name: "laptop".into(),
    };
    assert_eq!(fake.asked::<CreateInstancesRequest>("Create"), expected);
}

#[test]
fn one_server_is_an_object_and_several_are_a_list() {
    let fake = Fake::start();
    fake.answers("Create", made(&[instance(UUID, "a", "BUILD")]));
    let shown = super::json(&fake.succeed("server create a --flavor f -f json"));
    let asked: CreateInstancesRequest = fake.asked("Create");
    assert_eq!((asked.min_count, asked.max_count, asked.project.as_str()), (1, 1, "default"));
    assert_eq!(shown["uuid"], UUID);
    fake.answers("Create", made(&[instance(UUID, "a", "BUILD")]));
    let shown = super::json(&fake.succeed("server create a --flavor f --max 4 -f json"));
    let asked: CreateInstancesRequest = fake.asked("Create");
    assert_eq!((asked.min_count, asked.max_count), (1, 4));
    assert_eq!(shown[0]["uuid"], UUID);
    fake.answers("Create", made(&[instance(UUID, "a-1", "BUILD"), instance(OTHER, "a-2", "BUILD")]));
    let table = fake.succeed("server create a --flavor f --min 2");
    assert_eq!(table.lines().count(), 3, "{table}");
    assert_eq!(fake.asked::<CreateInstancesRequest>("Create").max_count, 2);
}

#[test]
fn what_cannot_be_made_is_said_before_the_service_is_asked() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("large"), vec![b'x'; (64 << 10) + 1]).unwrap();
    let fake = Fake::start();
    for (options, code, words) in [
        ("", 2, "--flavor"),
        ("--flavor f --min 3 --max 2", 1, "--max: 2 is less than --min 3"),
        ("--flavor f --min 0", 2, "--min"),
        ("--flavor f --image-property a=b", 2, "--image"),
        ("--flavor f --hint group", 2, "has to be KEY=VALUE"),
        (
            "--flavor f --hint _nova_check_type=rebuild",
            2,
            "_nova_check_type: names that begin with _ are internal",
        ),
        ("--flavor f --hint group=a --hint group=b", 1, "--hint: group is given twice"),
        ("--flavor f --user-data none", 1, "--user-data: cannot read none"),
        ("--flavor f --user-data large", 1, "--user-data: large has 65537 bytes, and may have at most 65536"),
    ] {
        let message =
            fail(directory.path(), code, &format!("server create a {options} --service {}", fake.url));
        assert!(message.contains(words), "{options}: {message}");
    }
    assert!(!fake.was_asked("Create"));
}

#[test]
fn servers_are_listed_by_project_host_and_status() {
    let fake = Fake::start();
    let running = busy(instance(UUID, "web", "ACTIVE"), "powering-off");
    let list = || ListInstancesResponse { instances: vec![running.clone()], ..Default::default() };
    fake.answers("List", list()).answers("List", list());
    assert_lines(
        &fake.succeed("server list --host compute-1 --status active"),
        &[
            "uuid name status task state power state host flavor name",
            &format!("{UUID} web ACTIVE powering-off RUNNING compute-1 m1.small"),
        ],
    );
    let asked: ListInstancesRequest = fake.asked("List");
    assert_eq!(
        (asked.project.as_str(), asked.host.as_str(), asked.status.as_str()),
        ("default", "compute-1", "ACTIVE")
    );
    let table = fake.succeed("server list --all-projects");
    assert!(table.contains("project"), "{table}");
    assert_eq!(fake.asked::<ListInstancesRequest>("List").project, "");
    assert!(fake.fail(2, "server list --status busy").contains("SHELVED_OFFLOADED"));
    for no_server_has_it in ["UNKNOWN", "DELETED"] {
        assert!(fake.fail(2, &format!("server list --status {no_server_has_it}")).contains("invalid value"));
    }
}

#[test]
fn a_server_is_shown_whole() {
    let fake = Fake::start();
    let image = Image { name: "debian.qcow2".into(), ..Default::default() };
    let shown = Instance {
        image: Some(image),
        metadata: map(&[("role", "front")]),
        ..instance(UUID, "web", "ACTIVE")
    };
    fake.answers("Get", shown);
    let shown = super::json(&fake.succeed("server show web -f json"));
    assert_eq!(fake.asked::<InstanceRequest>("Get").instance, "web");
    let expected = json!({
        "uuid": UUID, "name": "web", "project": "default", "user": null, "status": "ACTIVE", "vm_state": "active",
        "task_state": null, "power_state": "RUNNING", "fault": null, "host": "compute-1", "availability_zone": null,
        "flavor_name": "m1.small",
        "flavor": { "name": "m1.small", "vcpus": 1, "memory_mb": 2048, "root_gb": 0, "ephemeral_gb": 0, "swap_mb": 0,
                    "extra_specs": {} },
        "image": { "name": "debian.qcow2", "properties": {} }, "key_name": null, "server_group": null, "locked": false,
        "locked_reason": null, "created_at": AT_TEXT, "updated_at": AT_TEXT, "generation": 0,
        "properties": { "role": "front" },
    });
    assert_eq!(shown, expected);
}

#[test]
fn each_action_asks_for_what_it_says() {
    let fake = Fake::start();
    for (command, method) in [
        ("start", "Start"),
        ("stop", "Stop"),
        ("pause", "Pause"),
        ("unpause", "Unpause"),
        ("suspend", "Suspend"),
        ("resume", "Resume"),
        ("shelve", "Shelve"),
        ("unshelve", "Unshelve"),
    ] {
        fake.answers(method, instance(UUID, "a", "ACTIVE")).answers(method, instance(OTHER, "b", "ACTIVE"));
        let shown = super::json(&fake.succeed(&format!("server {command} a b -f json")));
        assert_eq!((&shown[0]["uuid"], &shown[1]["uuid"]), (&json!(UUID), &json!(OTHER)), "{command}");
        let asked: [InstanceRequest; 2] = [fake.asked(method), fake.asked(method)];
        assert_eq!(asked.map(|asked| asked.instance), ["a", "b"], "{command}");
    }
    for (line, hard) in [("reboot a", false), ("reboot a --hard", true)] {
        fake.answers("Reboot", instance(UUID, "a", "REBOOT"));
        fake.succeed(&format!("server {line}"));
        let asked: RebootRequest = fake.asked("Reboot");
        assert_eq!((asked.instance.as_str(), asked.hard), ("a", hard));
    }
    fake.answers("Delete", DeleteInstanceResponse {}).answers("Delete", DeleteInstanceResponse {});
    assert_eq!(fake.succeed("server delete a b"), "");
    let asked: [InstanceRequest; 2] = [fake.asked("Delete"), fake.asked("Delete")];
    assert_eq!(asked.map(|asked| asked.instance), ["a", "b"]);
    fail(Path::new("."), 2, "server stop");
}

/// `berth server delete bank-vm --project shop` deleted the server of another project: the option
/// never left the command.
#[test]
fn whatever_names_a_server_says_of_which_project() {
    let fake = Fake::start();
    let shown = || instance(UUID, "a", "ACTIVE");
    for (option, project) in [("", "default"), ("--project shop", "shop"), ("--all-projects", "")] {
        for (command, method) in [
            ("show", "Get"),
            ("start", "Start"),
            ("stop", "Stop"),
            ("pause", "Pause"),
            ("unpause", "Unpause"),
            ("suspend", "Suspend"),
            ("resume", "Resume"),
            ("shelve", "Shelve"),
            ("unshelve", "Unshelve"),
            ("unlock", "Unlock"),
        ] {
            fake.answers(method, shown()).succeed(&format!("server {command} a {option}"));
            assert_eq!(fake.asked::<InstanceRequest>(method).project, project, "{command} {option}");
        }
        fake.answers("ListEvents", ListEventsResponse::default());
        fake.succeed(&format!("server event list a {option}"));
        assert_eq!(fake.asked::<InstanceRequest>("ListEvents").project, project, "{option}");
        fake.answers("Lock", shown()).succeed(&format!("server lock a {option}"));
        assert_eq!(fake.asked::<LockRequest>("Lock").project, project, "{option}");
        fake.answers("Reboot", shown()).succeed(&format!("server reboot a {option}"));
        assert_eq!(fake.asked::<RebootRequest>("Reboot").project, project, "{option}");
        fake.answers("Delete", DeleteInstanceResponse {}).succeed(&format!("server delete a {option}"));
        assert_eq!(fake.asked::<InstanceRequest>("Delete").project, project, "{option}");
    }
    // An empty project would be all of them.
    assert!(fake.fail(2, "server delete a --project=").contains("--project"));
    // With --wait, the server is looked up first.
    fake.answers("Get", shown()).refuses("Delete", Status::not_found("gone"));
    fake.fail(1, "server delete a --wait --project shop");
    let asked: [InstanceRequest; 2] = [fake.asked("Get"), fake.asked("Delete")];
    assert_eq!(asked.map(|asked| asked.project), ["shop", "shop"]);
}

#[test]
fn servers_are_locked_with_a_reason_and_unlocked() {
    let fake = Fake::start();
    let locked = Instance { locked: true, locked_reason: "audit".into(), ..instance(UUID, "a", "ACTIVE") };
    fake.answers("Lock", locked).answers("Unlock", instance(UUID, "a", "ACTIVE"));
    let shown = super::json(&fake.succeed("server lock a --reason audit -f json"));
    assert_eq!((&shown["locked"], &shown["locked_reason"]), (&json!(true), &json!("audit")));
    let asked: LockRequest = fake.asked("Lock");
    assert_eq!((asked.instance.as_str(), asked.reason.as_str()), ("a", "audit"));
    fake.succeed("server unlock a");
    assert_eq!(fake.asked::<InstanceRequest>("Unlock").instance, "a");
}

#[test]
fn events_are_listed() {
    let fake = Fake::start();
    let event = |action: &str, user: &str, message: &str| InstanceEvent {
        at: AT,
        action: action.into(),
        user: user.into(),
        message: message.into(),
    };
    let events = vec![event("create", "alice", "built"), event("guest stopped", "", "")];
    fake.answers("ListEvents", ListEventsResponse { events });
    assert_lines(
        &fake.succeed("server event list web"),
        &[
            "at action user message",
            &format!("{AT_TEXT} create alice built"),
            &format!("{AT_TEXT} guest stopped - -"),
        ],
    );
    assert_eq!(fake.asked::<InstanceRequest>("ListEvents").instance, "web");
}

#[test]
fn one_that_refuses_does_not_keep_the_others_from_it() {
    let fake = Fake::start();
    fake.refuses("Stop", Status::new(Code::FailedPrecondition, "it is PAUSED"));
    fake.answers("Stop", instance(OTHER, "b", "ACTIVE"));
    let output = fake.run("server stop a b");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("a: it is PAUSED"), "{}", stderr(&output));
    assert!(super::super::stdout(&output).contains(OTHER));
}

#[test]
fn the_console_output_of_a_server_is_shown() {
    let fake = Fake::start();
    let log = ConsoleLog { output: b"one\r\ntwo\x1b[2J\nlogin: ".to_vec().into() };
    fake.answers("GetConsoleLog", log.clone()).answers("GetConsoleLog", log);
    // A guest cannot act on the terminal.
    assert_eq!(fake.succeed("console log show web"), "one\ntwo\\u{1b}[2J\nlogin: \n");
    assert_eq!(fake.succeed("console log show web --lines 1 --project shop"), "login: \n");
    let _: GetConsoleLogRequest = fake.asked("GetConsoleLog");
    let asked: GetConsoleLogRequest = fake.asked("GetConsoleLog");
    assert_eq!((asked.instance.as_str(), asked.project.as_str()), ("web", "shop"));
}
