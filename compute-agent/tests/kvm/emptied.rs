//! Hosts that are emptied while their guests run, and for how long that pauses the guests.

use berth_api::v1;
use berth_api::v1::host_evacuation::State;

use crate::TURN;
use crate::cloud::{Cloud, canary, rest};
use crate::live::{goes_on, ticks};

/// How many guests, and how often they go and come back: a few, or as many as an operator has, with
/// `BERTH_KVM_LONG=1`.
#[expect(clippy::disallowed_methods, reason = "how long the test takes is the caller's choice")]
fn size() -> (u32, usize) {
    let is_long = std::env::var("BERTH_KVM_LONG").is_ok_and(|value| value == "1");
    if is_long { (20, 10) } else { (3, 2) }
}

impl Cloud {
    async fn until_emptied(&mut self, host: &str) -> v1::HostEvacuation {
        let mut last = None;
        for _ in 0..6000 {
            let wanted = v1::GetHostEvacuationRequest { name: host.to_owned() };
            // The service may just be away.
            last =
                self.fleet.get_host_evacuation(wanted).await.ok().map(tonic::Response::into_inner).or(last);
            if let Some(run) =
                last.clone().filter(|run| [State::Done, State::Incomplete].contains(&run.state()))
            {
                return run;
            }
            rest().await;
        }
        panic!("{host} is not emptied: {last:?}")
    }

    /// The milliseconds for which a guest that has arrived was paused, as libvirt measured them.
    fn downtime(&mut self, host: &str, instance: &str) -> u64 {
        let domain = format!("berth-{instance}");
        let job = self.machine(host).host.virsh(&["domjobinfo", "--completed", &domain]);
        let line = job.lines().find_map(|line| line.strip_prefix("Total downtime:"));
        let millis = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        millis.unwrap_or_else(|| panic!("libvirt has measured no downtime: {job}"))
    }

    /// All programs but the hypervisors die.
    async fn restart_programs(&mut self) {
        for host in ["kvm1", "kvm2"] {
            self.machine(host).kill_agent();
        }
        self.restart_service().await;
        let address = self.address();
        for host in ["kvm2", "kvm1"] {
            self.machine(host).start_agent(address);
        }
    }
}

/// In every other round, agents and service die while guests are on their way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root and libvirt"]
async fn all_guests_leave_a_host_live_and_come_back() {
    let _turn = TURN.lock().await;
    let (guests, rounds) = size();
    let mut cloud = Cloud::new(&["kvm1", "kvm2"]).await;
    let zone = ":kvm1".to_owned();
    let wanted =
        v1::CreateInstancesRequest { availability_zone: zone, min_count: guests, ..canary("it", "tiny") };
    let all: Vec<String> = cloud.create(wanted).await.into_iter().map(|made| made.uuid).collect();
    for it in &all {
        cloud.until(it, "ACTIVE").await;
        cloud.until_said("kvm1", it, "TICK", 2).await;
    }
    let mut downtimes = Vec::new();
    for round in 0..rounds {
        for (from, to) in [("kvm1", "kvm2"), ("kvm2", "kvm1")] {
            let before: Vec<u32> =
                all.iter().map(|it| *ticks(&mut cloud, from, it).last().expect("it counts")).collect();
            let wanted = v1::EvacuateHostRequest {
                name: from.to_owned(),
                live: Some(v1::LiveEvacuation::default()),
                ..v1::EvacuateHostRequest::default()
            };
            cloud.fleet.evacuate_host(wanted).await.expect("accepted");
            if round % 2 == 1 {
                cloud.restart_programs().await;
            }
            let run = cloud.until_emptied(from).await;
            assert_eq!(run.state(), State::Done, "{run:?}");
            for (it, before) in all.iter().zip(before) {
                let there = cloud.until(it, "ACTIVE").await;
                assert_eq!((there.host.as_str(), there.fault.as_str()), (to, ""));
                goes_on(&mut cloud, to, it, before).await;
                downtimes.push(cloud.downtime(to, it));
            }
            cloud.until_host(from, |host| host.instances == 0).await;
            let count = all.len();
            assert_eq!(
                (cloud.books(from).await, cloud.books(to).await),
                ((0, 0), (u64::from(guests), count))
            );
            assert!(cloud.machine(from).directories().is_empty(), "nothing is left");
            let mut enabled = v1::SetHostRequest { name: from.to_owned(), ..v1::SetHostRequest::default() };
            enabled.set_status(v1::host::Status::Enabled);
            cloud.fleet.set_host(enabled).await.expect("enabled");
        }
    }
    downtimes.sort_unstable();
    let (least, median, most) =
        (downtimes[0], downtimes[downtimes.len() / 2], downtimes[downtimes.len() - 1]);
    println!("{} live migrations: downtime {least}, {median} (median), {most} ms", downtimes.len());
    cloud.end().await;
}
