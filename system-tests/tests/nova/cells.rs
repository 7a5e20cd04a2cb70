//! The database of one of two cells is killed: its hosts are left out until it answers again.

use std::time::{Duration, Instant};

use crate::cloud::{Cloud, Parts};
use crate::conductor::{Answer, Conductor, new_uuid};

/// How long changes may take to be seen.
const PATIENCE: Duration = Duration::from_secs(120);

/// The hosts that a new instance could have, in their order.
async fn offered(cloud: &Cloud, conductor: &mut Conductor) -> Vec<String> {
    let instance = new_uuid();
    let Answer::Hosts(hosts) = conductor.ask(&[instance], 1, &[]).await else { panic!("no host") };
    cloud.release(instance);
    let mut hosts = hosts.into_iter().next().expect("one instance");
    hosts.sort_unstable();
    hosts
}

fn has_line(metrics: &str, line: &str) -> bool {
    metrics.lines().any(|one| one == line)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_whose_database_is_killed_is_left_out_until_it_is_back() {
    let Some(mut cloud) = Cloud::start(Parts::TwoCells) else { return };
    let mut conductor = Conductor::new(cloud.bus());
    let of_second = Answer::Hosts(vec![vec!["c3".to_owned()]]);
    assert_eq!(conductor.ask(&[new_uuid()], 1, &["c1", "c2"]).await, of_second);
    assert!(has_line(&cloud.metrics(), "berth_nova_cells_down 0"));

    cloud.second_cell.as_mut().expect("a second cell").kill();
    assert_eq!(offered(&cloud, &mut conductor).await, ["c1", "c2"]);
    assert!(has_line(&cloud.metrics(), "berth_nova_cells_down 1"));
    let refused = conductor.ask(&[new_uuid()], 1, &["c1", "c2"]).await;
    assert!(matches!(&refused, Answer::Exception(class, _) if class == "NoValidHost"), "{refused:?}");

    cloud.second_cell.as_mut().expect("a second cell").start_server();
    let deadline = Instant::now() + PATIENCE;
    while !has_line(&cloud.metrics(), "berth_nova_cells_down 0") {
        assert!(Instant::now() < deadline, "the cell does not come back: {}", cloud.metrics());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(conductor.ask(&[new_uuid()], 1, &["c1", "c2"]).await, of_second);
}
