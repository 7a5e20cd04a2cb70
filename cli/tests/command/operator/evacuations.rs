//! Fencing and evacuation.

use berth_api::v1::host_evacuation::State;
use berth_api::v1::*;

use super::{AT, Fake, OTHER, UUID, assert_lines, busy, instance};

fn run(state: State, statuses: [&str; 2]) -> HostEvacuation {
    let one = |(uuid, name, status): (&str, &str, &str)| EvacuatedInstance {
        instance: uuid.into(),
        name: name.into(),
        status: status.into(),
        host: "compute-8".into(),
        reason: if status == "failed" { "no bridge".into() } else { String::new() },
    };
    HostEvacuation {
        uuid: OTHER.into(),
        host: "compute-7".into(),
        state: state.into(),
        user: "u".into(),
        created_at: AT,
        live: false,
        instances: [(UUID, "a", statuses[0]), (OTHER, "b", statuses[1])].map(one).into(),
    }
}

#[test]
fn hosts_are_fenced() {
    let fake = Fake::start();
    for (option, fenced) in [("", false), ("--fenced", true)] {
        let host = Host { name: "compute-7".into(), fenced_at: AT, fenced_by: "u".into(), ..Host::default() };
        fake.answers("FenceHost", host);
        let shown = super::json(&fake.succeed(&format!("host fence compute-7 {option} -f json")));
        assert_eq!(shown["fenced_by"], "u");
        let asked: FenceHostRequest = fake.asked("FenceHost");
        assert_eq!((&*asked.name, asked.fenced), ("compute-7", fenced));
    }
}

#[test]
fn hosts_are_evacuated_and_the_progress_is_shown() {
    let fake = Fake::start();
    fake.answers("EvacuateHost", run(State::Moving, ["done", "post-migrating"]));
    assert_lines(
        &fake.succeed("host evacuate compute-7 --fenced --rebuild --state stopped"),
        &[
            "server name status host reason",
            &format!("{UUID} a done compute-8 -"),
            &format!("{OTHER} b post-migrating compute-8 -"),
        ],
    );
    let asked: EvacuateHostRequest = fake.asked("EvacuateHost");
    assert_eq!((&*asked.name, asked.fenced, asked.rebuild), ("compute-7", true, true));
    assert_eq!((asked.state(), asked.live), (EvacuatedState::Stopped, None));

    let followed = |last: HostEvacuation| {
        fake.answers("EvacuateHost", run(State::Moving, ["post-migrating", "post-migrating"]));
        fake.answers("GetHostEvacuation", last);
        let output = fake.run("host evacuate compute-7 --wait");
        assert_eq!(fake.asked::<GetHostEvacuationRequest>("GetHostEvacuation").name, "compute-7");
        output
    };
    assert!(followed(run(State::Done, ["completed", "done"])).status.success());
    let failed = followed(run(State::Incomplete, ["done", "failed"]));
    assert_eq!(failed.status.code(), Some(1));
    let message = super::super::stderr(&failed);
    assert!(message.contains("1 servers of host compute-7 could not be evacuated"), "{message}");

    fake.answers("GetHostEvacuation", run(State::Incomplete, ["done", "failed"]));
    let shown = fake.succeed("host evacuation compute-7");
    assert!(shown.contains("no bridge"), "{shown}");
}

#[test]
fn hosts_that_are_up_are_evacuated_live() {
    let fake = Fake::start();
    let running = || HostEvacuation { live: true, ..run(State::Moving, ["running", "queued"]) };
    for (options, (bandwidth_mib, timeout_s, forces_at_timeout)) in [
        ("", (0, 0, false)),
        ("--bandwidth 5 --move-timeout 60 --on-move-timeout force-complete", (5, 60, true)),
    ] {
        fake.answers("EvacuateHost", running());
        let shown = fake.succeed(&format!("host evacuate compute-7 --live {options}"));
        assert!(shown.contains("queued"), "{shown}");
        let asked: EvacuateHostRequest = fake.asked("EvacuateHost");
        assert_eq!(asked.live, Some(LiveEvacuation { bandwidth_mib, timeout_s, forces_at_timeout }));
    }
    fake.answers("EvacuateHost", running());
    fake.answers("GetHostEvacuation", run(State::Incomplete, ["completed", "cancelled"]));
    let stayed = fake.run("host evacuate compute-7 --live --wait");
    assert_eq!(stayed.status.code(), Some(1));
    let message = super::super::stderr(&stayed);
    assert!(message.contains("1 servers of host compute-7 could not be evacuated"), "{message}");
    for line in
        ["--live --fenced", "--live --rebuild", "--live --state active", "--bandwidth 5", "--move-timeout 5"]
    {
        fake.fail(2, &format!("host evacuate compute-7 {line}"));
    }
}

#[test]
fn servers_are_evacuated() {
    let fake = Fake::start();
    let moving = || busy(instance(UUID, "a", "REBUILD"), "rebuilding");
    fake.answers("Evacuate", moving()).succeed("server evacuate a --host compute-8 --fenced --state active");
    let asked: EvacuateInstanceRequest = fake.asked("Evacuate");
    assert_eq!((&*asked.instance, &*asked.host, &*asked.project), ("a", "compute-8", "default"));
    assert_eq!((asked.fenced, asked.rebuild, asked.state()), (true, false, EvacuatedState::Active));
    let wait = |status| {
        fake.answers("Evacuate", moving()).answers("Get", moving());
        fake.answers("Watch", super::fake::Watched { shown: vec![instance(UUID, "a", status)], ends: false });
        fake.run("server evacuate a --wait").status.code()
    };
    assert_eq!([wait("ACTIVE"), wait("SHUTOFF"), wait("ERROR")], [Some(0), Some(0), Some(1)]);
    assert!(fake.fail(2, "server evacuate a --state paused").contains("--state"));
}
