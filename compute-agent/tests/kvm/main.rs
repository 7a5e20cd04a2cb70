//! The agent on a real libvirtd, with real guests. Run by
//! `cargo test -p berth-compute-agent --test kvm -- --ignored`, as root.
//!
//! The guest is a ROM of a few hundred bytes in the BIOS's place. It says its UUID on its serial
//! port, then counts seconds in its memory, and obeys the power button.

#![expect(clippy::print_stdout, reason = "says whether guests run on KVM")]

mod cloud;
mod emptied;
mod evacuations;
mod host;
mod lab;
mod live;
mod moves;
mod outside;
mod rebuilds;
mod service;

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};

use berth_api::v1::agent_message::Message;
use berth_api::v1::desired_guest::Goal;
use berth_api::v1::guest_report::State;
use berth_api::v1::{DesiredGuest, GuestReport, GuestSpec};
use berth_test_support::agents_service;
use lab::{CANARY, Lab, canary, introduction};
use tokio::sync::Mutex;
use uuid::Uuid;

/// One host at a time: this machine may be small.
static TURN: Mutex<()> = Mutex::const_new(());

fn guest(number: u128) -> Uuid {
    Uuid::from_u128((0xbe47_u128 << 112) | number)
}

fn desired(instance: Uuid, generation: u64, goal: Goal, boot: u32) -> DesiredGuest {
    agents_service::desired(instance, generation, goal, boot, &canary())
}

/// Sends a desired state and checks that it is reached.
async fn reach(lab: &Lab, host: &str, desired: DesiredGuest, state: State) -> GuestReport {
    let report = lab.service.reconcile(host, desired).await;
    assert_eq!((report.error.as_str(), report.state()), ("", state));
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_guest_lives_through_all_its_states() {
    let _turn = TURN.lock().await;
    let lab = Lab::new("life").await;
    let id = guest(1);
    let up = introduction(id);
    let go = |generation, goal, boot, state| reach(&lab, "life", desired(id, generation, goal, boot), state);

    go(1, Goal::Running, 1, State::Running).await;
    lab.wait_for(id, &up, 1).await;
    lab.wait_for(id, "TICK", 2).await;

    go(2, Goal::Paused, 1, State::Paused).await;
    let ticks = lab.ticks(id).len();
    another_guest_counts(&lab).await;
    assert!(lab.ticks(id).len() <= ticks + 1, "a paused guest does not count");
    go(3, Goal::Running, 1, State::Running).await;

    go(4, Goal::Suspended, 1, State::Saved).await;
    let before = lab.ticks(id).len();
    go(5, Goal::Running, 1, State::Running).await;
    lab.wait_for(id, "TICK", before + 2).await;
    let ticks = lab.ticks(id);
    assert!(
        ticks.iter().zip(1..).all(|(tick, expected)| *tick == expected),
        "counts on where it was: {ticks:?}"
    );
    assert_eq!(lab.said(id, &up), 1, "it was not booted again");

    go(6, Goal::Running, 2, State::Running).await;
    lab.wait_for(id, &up, 2).await;
    assert_eq!(lab.said(id, "PWRBTN"), 1, "a soft reboot is by the guest's own doing");
    go_hard(&lab, id).await;
    lab.wait_for(id, &up, 3).await;
    assert_eq!(lab.said(id, "PWRBTN"), 1, "a hard one is not");

    go(8, Goal::Stopped, 3, State::ShutDown).await;
    assert_eq!(lab.said(id, "PWRBTN"), 2);
    go(9, Goal::Running, 4, State::Running).await;
    lab.wait_for(id, &up, 4).await;

    go(10, Goal::Shelved, 4, State::Shelved).await;
    assert_eq!(lab.host.virsh(&["list", "--all", "--uuid"]), "");
    go(11, Goal::Running, 5, State::Running).await;
    lab.wait_for(id, &up, 5).await;

    go(12, Goal::Absent, 5, State::Absent).await;
    assert_eq!(lab.host.virsh(&["list", "--all", "--uuid"]), "");
    assert!(!lab.host.path("instances").join(id.to_string()).exists());
    lab.end().await;
}

/// Lets time pass for guests: one of its own counts three seconds.
async fn another_guest_counts(lab: &Lab) {
    let other = guest(9);
    reach(lab, "life", desired(other, 1, Goal::Running, 1), State::Running).await;
    lab.wait_for(other, "TICK", 3).await;
    reach(lab, "life", desired(other, 2, Goal::Absent, 1), State::Absent).await;
}

async fn go_hard(lab: &Lab, id: Uuid) {
    let hard = DesiredGuest { hard: true, ..desired(id, 7, Goal::Running, 3) };
    reach(lab, "life", hard, State::Running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn guests_survive_restarts_of_the_agent_and_of_libvirtd() {
    let _turn = TURN.lock().await;
    let mut lab = Lab::new("restarts").await;
    let id = guest(2);
    reach(&lab, "restarts", desired(id, 3, Goal::Running, 1), State::Running).await;
    lab.wait_for(id, "TICK", 1).await;

    lab.kill_agent().await;
    lab.service.known().guests.clear();
    lab.start_agent().await;
    let adopted = lab.service.settled(id, 3).await;
    assert_eq!((adopted.generation, adopted.state(), adopted.boot), (3, State::Running, 1));

    // The program itself, ended by SIGTERM.
    lab.kill_agent().await;
    lab.service.known().guests.clear();
    let mut program = lab.spawn_agent();
    assert_eq!(lab.service.settled(id, 3).await.state(), State::Running);
    terminate(&program);
    assert!(program.wait().expect("it ends").success());
    let is_goodbye = |known: &agents_service::Known| {
        matches!(known.received.last(), Some((_, Message::Goodbye(_)))).then_some(())
    };
    lab.service.wait("goodbye", is_goodbye).await;
    assert_eq!(lab.host.virsh(&["domstate", &id.to_string()]), "running");

    // The record is in the domain too.
    std::fs::remove_dir_all(lab.host.path("state/guests")).expect("removed");
    lab.service.known().guests.clear();
    lab.start_agent().await;
    assert_eq!(lab.service.settled(id, 3).await.generation, 3);
    lab.service.known().guests.clear();
    lab.service.send_desired("restarts", desired(id, 2, Goal::Absent, 1)).await;
    lab.service.wait_for_state(id, State::Running).await;

    let ticks = lab.ticks(id).len();
    lab.host.restart_libvirtd();
    lab.wait_for(id, "TICK", ticks + 2).await;
    assert_eq!(lab.said(id, &introduction(id)), 1, "it was not booted again");
    reach(&lab, "restarts", desired(id, 4, Goal::Paused, 1), State::Paused).await;
    reach(&lab, "restarts", desired(id, 5, Goal::Running, 1), State::Running).await;

    // Events come again: nobody asks how the guest is.
    lab.host.virsh(&["destroy", &id.to_string()]);
    let report = lab.service.wait_for_state(id, State::ShutDown).await;
    assert_eq!((report.generation, report.error.as_str()), (5, ""));
    lab.end().await;
}

fn terminate(program: &Child) {
    let status = Command::new("kill").args(["-TERM", &program.id().to_string()]).status().expect("kill");
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn twenty_guests_are_started_at_once() {
    let _turn = TURN.lock().await;
    let lab = Lab::new("twenty").await;
    let guests: Vec<_> = (100..120).map(guest).collect();
    for id in &guests {
        lab.service.send_desired("twenty", desired(*id, 1, Goal::Running, 1)).await;
    }
    for id in &guests {
        let report = lab.service.settled(*id, 1).await;
        assert_eq!((report.error.as_str(), report.state()), ("", State::Running));
        lab.wait_for(*id, &introduction(*id), 1).await;
    }
    for id in &guests {
        lab.service.send_desired("twenty", desired(*id, 2, Goal::Absent, 1)).await;
    }
    for id in &guests {
        assert_eq!(lab.service.settled(*id, 2).await.state(), State::Absent);
    }
    assert_eq!(lab.host.virsh(&["list", "--all", "--uuid"]), "");
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn what_cannot_be_built_is_reported_and_leaves_nothing() {
    let _turn = TURN.lock().await;
    let lab = Lab::new("failures").await;
    let mut spec = canary();
    spec.image.as_mut().expect("there").name = "none.qcow2".into();
    let id = guest(4);
    let report =
        lab.service.reconcile("failures", agents_service::desired(id, 1, Goal::Running, 1, &spec)).await;
    assert_eq!(report.error, "image.name: \"none.qcow2\" does not exist in the image directory");
    assert_eq!((report.state(), report.is_transient), (State::Absent, false));

    let machine = with_property("hw_machine_type", "no-such-machine");
    let report =
        lab.service.reconcile("failures", agents_service::desired(id, 2, Goal::Running, 1, &machine)).await;
    assert_eq!(
        report.error,
        "image.properties[hw_machine_type]: QEMU on this host has no \"no-such-machine\""
    );
    assert!(!report.is_transient);
    reach(&lab, "failures", desired(id, 3, Goal::Absent, 1), State::Absent).await;

    // A guest with all kinds of disks, which nobody else may read, and which does not obey the
    // power button because it has no ROM that would.
    let disks = with_disks();
    lab.service.reconcile("failures", agents_service::desired(id, 4, Goal::Running, 1, &disks)).await;
    let attached = lab.host.virsh(&["domblklist", &id.to_string()]);
    for (target, file) in
        [("sda", "disk.qcow2"), ("sdb", "ephemeral.qcow2"), ("sdc", "swap.qcow2"), ("sdd", "config.img")]
    {
        assert!(attached.lines().any(|line| line.contains(target) && line.ends_with(file)), "{attached}");
    }
    let directory = lab.host.path("instances").join(id.to_string());
    let mode = |path: &std::path::Path| path.metadata().expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for file in ["disk.qcow2", "ephemeral.qcow2", "swap.qcow2", "config.img"] {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
    let stopped =
        lab.service.reconcile("failures", agents_service::desired(id, 5, Goal::Stopped, 1, &disks)).await;
    assert_eq!((stopped.error.as_str(), stopped.state()), ("", State::ShutDown));
    lab.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn two_hosts_on_one_machine_are_apart() {
    let _turn = TURN.lock().await;
    let (one, two) = (Lab::new("one").await, Lab::new("two").await);
    let (here, there) = (guest(5), guest(6));
    reach(&one, "one", desired(here, 1, Goal::Running, 1), State::Running).await;
    reach(&two, "two", desired(there, 1, Goal::Running, 1), State::Running).await;
    assert_eq!(one.host.virsh(&["list", "--uuid"]), here.to_string());
    assert_eq!(two.host.virsh(&["list", "--uuid"]), there.to_string());
    two.wait_for(there, "TICK", 1).await;
    let ticks = two.ticks(there).len();
    // The host loses power.
    one.end().await;
    two.wait_for(there, "TICK", ticks + 2).await;
    assert_eq!(two.said(there, &introduction(there)), 1);
    two.end().await;
}

fn with_property(key: &str, value: &str) -> GuestSpec {
    let mut spec = canary();
    spec.image.as_mut().expect("there").properties.insert(key.to_owned(), value.to_owned());
    spec
}

/// The ROM as the content of a disk: nothing that a BIOS would boot.
fn with_disks() -> GuestSpec {
    let mut spec = with_property("hw_disk_bus", "sata");
    let image = spec.image.as_mut().expect("there");
    image.properties.remove("firmware");
    image.properties.insert("disk_format".to_owned(), "raw".to_owned());
    assert_eq!(image.name, CANARY);
    let flavor = spec.flavor.as_mut().expect("there");
    (flavor.root_gb, flavor.ephemeral_gb, flavor.swap_mb) = (1, 1, 64);
    spec
}
