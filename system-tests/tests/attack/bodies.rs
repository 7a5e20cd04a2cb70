//! Bodies of REST requests that are begun and not finished.

use std::time::Duration;

use berth_system_tests::http::Client;
use berth_system_tests::service::Service;

use crate::scene::{Ceiling, attack, p99, service, sized};

/// What each client sends of its body; the limit is 8 MiB.
const PART: usize = 7 << 20;

/// Clients that send most of a body and then nothing. The service may hang up.
fn unfinished(service: &Service, token: &str, count: usize) -> Vec<Client> {
    let part = vec![b' '; PART];
    (0..count)
        .map(|_| {
            let mut client = Client::with_token(&service.address, token).expect("it listens");
            let head = client.head("POST", "/reshaper", 8 << 20);
            let _ = client.write(head.as_bytes()).and_then(|()| client.write(&part));
            client
        })
        .collect()
}

/// Before there was a bound, 250 of them took 1.6 GB.
#[test]
fn unfinished_bodies_take_no_more_than_one_caller_may() {
    let service = service();
    let ceiling = Ceiling { memory_mib: 700, p99: p99(Duration::from_millis(50)) };
    let count = sized(100, 250);
    attack(&format!("{count} unfinished bodies"), &service, &ceiling, || {
        let clients = unfinished(&service, "admin", count);
        std::thread::sleep(Duration::from_secs(2));
        drop(clients);
    });
}

/// A caller that may not send a body is refused before it is read.
#[test]
fn bodies_of_callers_without_the_right_are_not_kept() {
    let service = service();
    let ceiling = Ceiling { memory_mib: 100, p99: p99(Duration::from_millis(50)) };
    let count = sized(60, 250);
    attack(&format!("{count} bodies without the right"), &service, &ceiling, || {
        drop(unfinished(&service, "nobody", count));
    });
}
