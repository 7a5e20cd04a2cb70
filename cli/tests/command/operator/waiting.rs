//! `--wait`.

use berth_api::v1::*;
use tonic::Status;

use super::super::{stderr, stdout};
use super::fake::Watched;
use super::{AT, AT_TEXT, Fake, OTHER, UUID, busy, instance, texts};

fn watched(shown: &[Instance]) -> Watched {
    Watched { shown: shown.to_vec(), ends: false }
}

fn made(instances: &[Instance]) -> CreateInstancesResponse {
    CreateInstancesResponse { instances: instances.to_vec() }
}

#[test]
fn a_server_is_followed_until_it_is_active() {
    let fake = Fake::start();
    let building = busy(instance(UUID, "web", "BUILD"), "spawning");
    fake.answers("Create", made(&[instance(UUID, "web", "BUILD")])).answers("Get", building.clone());
    fake.answers(
        "Watch",
        watched(&[building, instance(OTHER, "not ours", "ERROR"), instance(UUID, "web", "ACTIVE")]),
    );
    let shown = super::json(&fake.succeed("server create web --flavor f --wait -f json"));
    assert_eq!(shown["status"], "ACTIVE");
    assert_eq!(fake.asked::<WatchInstancesRequest>("Watch").instances, texts(&[UUID]));
}

#[test]
fn an_instance_in_error_is_printed_with_its_fault() {
    let fake = Fake::start();
    let failed = Instance { fault: "no disk space on a, b".into(), ..instance(OTHER, "web-2", "ERROR") };
    let building = [instance(UUID, "web-1", "BUILD"), instance(OTHER, "web-2", "BUILD")];
    fake.answers("Create", made(&building));
    fake.answers("Get", building[0].clone()).answers("Get", building[1].clone());
    fake.answers("Watch", watched(&[instance(UUID, "web-1", "ACTIVE"), failed]));
    let output = fake.run("server create web --flavor f --min 2 --wait");
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains(&format!("web-2 ({OTHER}) is in ERROR: no disk space on a, b")), "{message}");
    assert!(!message.contains("web-1"), "{message}");
    assert!(stdout(&output).contains("ACTIVE") && stdout(&output).contains("ERROR"), "{}", stdout(&output));
}

#[test]
fn a_failed_action_is_reported() {
    let fake = Fake::start();
    let stopping = busy(instance(UUID, "web", "ACTIVE"), "powering-off");
    for (last, words) in [
        (instance(UUID, "web", "ACTIVE"), "is ACTIVE, not SHUTOFF"),
        (instance(UUID, "web", "DELETED"), "was deleted"),
    ] {
        fake.answers("Stop", stopping.clone())
            .answers("Get", stopping.clone())
            .answers("Watch", watched(&[last]));
        let message = fake.fail(1, "server stop web --wait");
        assert!(message.contains(words), "{message}");
    }
    fake.answers("Stop", stopping.clone()).answers("Get", instance(UUID, "web", "SHUTOFF"));
    fake.answers("Watch", watched(&[stopping]));
    fake.succeed("server stop web --wait");
}

#[test]
fn a_service_that_goes_away_for_a_moment_is_waited_for() {
    let fake = Fake::start();
    let building = busy(instance(UUID, "web", "BUILD"), "spawning");
    fake.answers("Create", made(std::slice::from_ref(&building))).answers("Get", building.clone());
    fake.answers("Watch", Watched { shown: vec![building], ends: true });
    fake.refuses("Watch", Status::unavailable("starting"));
    fake.answers("Watch", watched(&[])).answers("Get", instance(UUID, "web", "ACTIVE"));
    fake.succeed("server create web --flavor f --wait");
}

#[test]
fn a_watch_that_is_refused_is_no_wait() {
    let fake = Fake::start();
    fake.answers("Create", made(&[instance(UUID, "web", "BUILD")]));
    fake.refuses("Watch", Status::permission_denied("readers may not"));
    assert!(fake.fail(1, "server create web --flavor f --wait").contains("readers may not"));
}

#[test]
fn a_deletion_is_over_when_the_server_is_gone() {
    let fake = Fake::start();
    let deleting = busy(instance(UUID, "web", "ERROR"), "deleting");
    fake.answers("Get", deleting.clone()).answers("Delete", DeleteInstanceResponse {});
    fake.answers("Get", deleting).answers("Watch", watched(&[instance(UUID, "web", "DELETED")]));
    fake.succeed("server delete web --wait");
    assert_eq!(fake.asked::<InstanceRequest>("Delete").instance, UUID);
    // It was gone before the watch began.
    fake.answers("Get", instance(UUID, "web", "ACTIVE")).answers("Delete", DeleteInstanceResponse {});
    fake.answers("Watch", watched(&[])).refuses("Get", Status::not_found("there is no instance"));
    fake.succeed("server delete web --wait");
}

/// The command waited without a word.
#[test]
fn a_host_that_is_down_is_named() {
    let fake = Fake::start();
    let stopping = busy(instance(UUID, "web", "ACTIVE"), "powering-off");
    let host = |is_up| Host { name: "compute-1".into(), is_up, since: AT, ..Host::default() };
    fake.answers("Stop", stopping.clone()).answers("Get", stopping.clone());
    fake.answers("Watch", watched(&[])).answers("GetHost", host(false));
    let output = fake.run("server stop web --wait --timeout 1");
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    let down = format!("host compute-1 is down since {AT_TEXT}; waiting until its agent is back: web\n");
    assert!(message.contains(&down), "{message}");
    let still = format!("web ({UUID}) is still ACTIVE, powering-off after 1 s: host compute-1 is down");
    assert!(message.contains(&still), "{message}");
    assert_eq!(fake.asked::<GetHostRequest>("GetHost").name, "compute-1");
    assert!(stdout(&output).contains("powering-off"), "{}", stdout(&output));

    fake.answers("Stop", stopping.clone()).answers("Get", stopping.clone());
    fake.answers("Watch", Watched { shown: vec![], ends: true }).answers("GetHost", host(false));
    fake.answers("Watch", watched(&[instance(UUID, "web", "SHUTOFF")]));
    fake.answers("Get", stopping).answers("GetHost", host(true));
    let output = fake.run("server stop web --wait");
    assert!(output.status.success() && stderr(&output).contains("host compute-1 is up again"), "{output:?}");
}

#[test]
fn a_timeout_is_for_waiting() {
    let fake = Fake::start();
    let message = fake.fail(2, "server stop web --timeout 5");
    assert!(message.contains("--wait"), "{message}");
    for seconds in ["0", "x", "-1"] {
        fake.fail(2, &format!("server stop web --wait --timeout={seconds}"));
    }
    assert!(!fake.was_asked("Stop"));
}
