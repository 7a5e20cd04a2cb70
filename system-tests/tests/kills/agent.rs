//! The program of an agent: the real one on a hypervisor whose guests are files.

use std::sync::Arc;
use std::time::Duration;

use berth_compute_agent::agent::{self, Settings};
use berth_compute_agent::disks::{DiskServer, Peers};
use berth_compute_agent::{Facts, FakeHypervisor, Fault, GuestStep, Offer, service};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

/// How long each step takes: long enough to be killed in.
const STEP: Duration = Duration::from_millis(3);

/// Facts of the host with this name, which ends with a number.
pub(crate) fn facts(host: &str) -> Facts {
    let number = host.bytes().fold(0_u128, |sum, byte| sum * 256 + u128::from(byte));
    Facts::plain(Uuid::from_u128(0xa << 120 | number), 8, 16_384, 100)
}

/// Runs until it is killed. Its life begins with a build that fails, or not.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub(crate) async fn run(host: &str, url: &str, directory: &str) {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let hypervisor = FakeHypervisor::open(directory.into(), facts(host)).expect("guests that can be read");
    hypervisor.set_delay(STEP);
    let mut rng = ChaCha8Rng::from_os_rng();
    if rng.random_bool(0.5) {
        hypervisor.fail_next(GuestStep::Prepare, Fault::permanent("no space"));
    }
    let settings = Settings {
        host: host.to_owned(),
        address: "127.0.0.1".to_owned(),
        offer: Offer::default(),
        shutdown_grace: Duration::from_secs(1),
        peers: Peers::default(),
        disks: Some(Arc::new(DiskServer::bind(0, None).expect("a port"))),
        seed: rng.random(),
    };
    let channel = service::channel(url, None).expect("loopback");
    agent::run(Arc::new(hypervisor), settings, channel, std::future::pending()).await;
}
