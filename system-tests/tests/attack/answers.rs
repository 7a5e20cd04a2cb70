//! Large answers that nobody reads.

use std::time::Duration;

use berth_system_tests::http::Client;

use crate::scene::{Ceiling, attack, p99, service, sized};
use crate::searches::{search, tree};

/// Before there was a bound, 64 of them took 2.5 GB.
#[test]
fn unread_answers_take_no_more_than_one_caller_may() {
    let service = service();
    tree(&service);
    let ceiling = Ceiling { memory_mib: 1_200, p99: p99(Duration::from_millis(50)) };
    let count = sized(24, 64);
    attack(&format!("{count} unread answers"), &service, &ceiling, || {
        let clients: Vec<Client> = (0..count)
            .map(|_| {
                let mut client = service.client();
                // Some 255,000 candidates.
                client.send("GET", &search(4), None).expect("it listens");
                client
            })
            .collect();
        std::thread::sleep(Duration::from_secs(sized(15, 60) as u64));
        drop(clients);
    });
}
