//! Guests that others act on: operators by `virsh`, backup programs, libvirt-guests.

use std::time::Duration;

use berth_api::v1;
use uuid::Uuid;

use crate::TURN;
use crate::cloud::{Cloud, canary, named, rest};
use crate::lab::introduction;

const HOST: &str = "kvm1";

struct Acted {
    cloud: Cloud,
    it: String,
    up: String,
}

impl Acted {
    async fn new() -> Self {
        let mut cloud = Cloud::new(&[HOST]).await;
        let made = cloud.create(canary("it", "tiny")).await.remove(0);
        let up = introduction(Uuid::try_parse(&made.uuid).expect("a UUID"));
        let it = made.uuid;
        cloud.until_power(&it, "ACTIVE", "RUNNING").await;
        cloud.until_said(HOST, &it, &up, 1).await;
        Self { cloud, it, up }
    }

    fn virsh(&mut self, arguments: &[&str]) -> String {
        self.cloud.machine(HOST).host.virsh(arguments)
    }

    async fn becomes(&mut self, status: &str, power: &str) -> v1::Instance {
        self.cloud.until_power(&self.it, status, power).await
    }

    fn said(&mut self, what: &str) -> usize {
        self.cloud.machine(HOST).console(&self.it).matches(what).count()
    }

    /// It counts on.
    async fn ticks(&mut self) {
        let ticks = self.said("TICK");
        self.cloud.until_said(HOST, &self.it, "TICK", ticks + 2).await;
    }

    /// It runs with the memory it had.
    async fn goes_on(&mut self, boots: usize) {
        self.becomes("ACTIVE", "RUNNING").await;
        self.ticks().await;
        let up = self.up.clone();
        assert_eq!(self.said(&up), boots, "booted again");
        assert_eq!(self.becomes("ACTIVE", "RUNNING").await.fault, "");
    }

    fn file(&mut self, name: &str) -> String {
        self.cloud.machine(HOST).host.path(name).display().to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn what_pauses_or_saves_a_guest_for_a_while_changes_no_desired_state() {
    let _turn = TURN.lock().await;
    let mut acted = Acted::new().await;
    let it = acted.it.clone();

    acted.virsh(&["suspend", &it]);
    acted.becomes("ACTIVE", "PAUSED").await;
    acted.virsh(&["resume", &it]);
    acted.goes_on(1).await;
    let dump = acted.file("dump");
    for options in [&["dump", "--live"][..], &["dump"], &["dump", "--memory-only"]] {
        acted.virsh(&[options, &[&it, &dump]].concat());
        acted.goes_on(1).await;
    }
    // One that stays paused is helped by its user.
    acted.virsh(&["suspend", &it]);
    acted.becomes("ACTIVE", "PAUSED").await;
    acted.cloud.instances.unpause(named(&it)).await.expect("it is paused");
    acted.goes_on(1).await;

    // Somebody's own file, and back.
    let saved = acted.file("saved");
    acted.virsh(&["save", &it, &saved]);
    acted.becomes("SHUTOFF", "SHUTDOWN").await;
    acted.virsh(&["restore", &saved]);
    acted.goes_on(1).await;

    for options in [&[][..], &["--paused"], &["--running"]] {
        acted.virsh(&[&["managedsave", &it][..], options].concat());
        acted.goes_on(1).await;
    }
    acted.cloud.end().await;
}

/// The host shuts down: its agent ends, then libvirt-guests saves what runs. When it is up again,
/// libvirt-guests may have started the guest before the agent does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn guests_that_libvirt_guests_saved_run_again() {
    let _turn = TURN.lock().await;
    let mut acted = Acted::new().await;
    let (it, address) = (acted.it.clone(), acted.cloud.address());
    for is_started in [false, true] {
        acted.cloud.machine(HOST).kill_agent();
        acted.virsh(&["managedsave", &it]);
        assert_eq!(acted.virsh(&["domstate", &it]), "shut off");
        if is_started {
            acted.virsh(&["start", &it]);
        }
        acted.cloud.machine(HOST).start_agent(address);
        acted.ticks().await;
        acted.goes_on(1).await;
    }

    // A paused guest is paused again.
    acted.cloud.instances.pause(named(&it)).await.expect("it runs");
    acted.becomes("PAUSED", "PAUSED").await;
    acted.virsh(&["managedsave", &it]);
    for _ in 0..40 {
        rest().await;
    }
    acted.becomes("PAUSED", "PAUSED").await;
    assert_eq!(acted.virsh(&["domstate", &it]), "paused");
    acted.cloud.instances.unpause(named(&it)).await.expect("it is paused");
    acted.goes_on(1).await;
    acted.cloud.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn what_others_start_stop_and_undefine() {
    let _turn = TURN.lock().await;
    let mut acted = Acted::new().await;
    let it = acted.it.clone();
    acted.cloud.instances.stop(named(&it)).await.expect("it runs");
    acted.becomes("SHUTOFF", "SHUTDOWN").await;
    acted.virsh(&["start", &it]);
    let up = acted.up.clone();
    acted.cloud.until_said(HOST, &it, &up, 2).await;
    for _ in 0..600 {
        if acted.virsh(&["domstate", &it]) == "shut off" {
            break;
        }
        rest().await;
    }
    assert_eq!(acted.virsh(&["domstate", &it]), "shut off", "its user has stopped it");
    acted.becomes("SHUTOFF", "SHUTDOWN").await;
    acted.cloud.instances.start(named(&it)).await.expect("it is off");
    acted.becomes("ACTIVE", "RUNNING").await;
    acted.cloud.until_said(HOST, &it, &up, 3).await;

    // Undefined while it runs, it is Berth's until it ends.
    for (boots, commands) in [(4, ["destroy", "undefine"]), (5, ["undefine", "destroy"])] {
        for command in commands {
            acted.virsh(&[command, &it]);
            for _ in 0..20 {
                rest().await;
            }
        }
        let failed = acted.becomes("ERROR", "NOSTATE").await;
        assert!(failed.fault.starts_with("the guest was undefined on kvm1"), "{}", failed.fault);
        assert_eq!(acted.cloud.books(HOST).await, (1, 0));
        let hard = v1::RebootRequest { instance: it.clone(), hard: true, ..Default::default() };
        acted.cloud.instances.reboot(hard).await.expect("its disks exist");
        acted.becomes("ACTIVE", "RUNNING").await;
        acted.cloud.until_said(HOST, &it, &up, boots).await;
    }
    // One that was undefined while it runs is deleted as any other.
    acted.virsh(&["undefine", &it]);
    acted.becomes("ACTIVE", "RUNNING").await;
    acted.cloud.instances.delete(named(&it)).await.expect("it can go");
    acted.cloud.until_gone(&it).await;
    assert_eq!(acted.cloud.books(HOST).await, (0, 0));
    acted.cloud.end().await;
}

/// Its monitor does not answer, and the client that waits for it holds the lock of its domain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn a_guest_that_hangs_is_deleted() {
    let _turn = TURN.lock().await;
    let mut acted = Acted::new().await;
    let it = acted.it.clone();
    acted.cloud.machine(HOST).host.freeze_guest(&it);
    let mut stuck = acted.cloud.machine(HOST).host.begin_virsh(&["suspend", &it]);
    for _ in 0..20 {
        rest().await;
    }
    assert!(stuck.try_wait().expect("it runs").is_none(), "nothing holds the lock");
    acted.cloud.instances.delete(named(&it)).await.expect("it can go");
    let gone = tokio::time::timeout(Duration::from_secs(25), acted.cloud.until_gone(&it));
    gone.await.expect("libvirt waits 30 seconds for the lock of a domain");
    assert_eq!(acted.cloud.books(HOST).await, (0, 0));
    stuck.wait().expect("it ends");
    acted.cloud.end().await;
}

/// What was being done is not known: no guest runs whose capacity was released, and none is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn libvirtd_may_die_during_builds_and_deletions() {
    let _turn = TURN.lock().await;
    let mut cloud = Cloud::new(&[HOST]).await;
    for _ in 0..2 {
        let made = cloud.create(v1::CreateInstancesRequest { min_count: 12, ..canary("it", "tiny") }).await;
        for _ in 0..6 {
            cloud.machine(HOST).host.restart_libvirtd();
            rest().await;
        }
        for one in &made {
            assert_eq!(cloud.until(&one.uuid, "ACTIVE").await.fault, "");
        }
        assert_eq!(cloud.books(HOST).await, (12, 12));
        for one in &made {
            cloud.instances.delete(named(&one.uuid)).await.expect("it can go");
        }
        for _ in 0..3 {
            cloud.machine(HOST).host.restart_libvirtd();
        }
        for one in &made {
            cloud.until_gone(&one.uuid).await;
        }
        assert_eq!(cloud.books(HOST).await, (0, 0));
    }
    cloud.end().await;
}
