//! Names that are made and removed.

use std::time::Duration;

use crate::scene::{Ceiling, attack, p99, service, sized};

/// After 4,075 pairs, nobody could make a class until the next start.
#[test]
fn making_and_removing_names_uses_nothing_up() {
    let service = service();
    let ceiling = Ceiling { memory_mib: 100, p99: p99(Duration::from_millis(20)) };
    let pairs = sized(4_200, 20_000);
    attack(&format!("{pairs} names made and removed"), &service, &ceiling, || {
        let mut client = service.client();
        let mut ask = |method, path: &str, status| {
            client.ask(method, path, None).expect("it is answered").expect(status);
        };
        for number in 0..pairs {
            let path = format!("/resource_classes/CUSTOM_{number}");
            ask("PUT", &path, 201);
            ask("DELETE", &path, 204);
            let path = format!("/traits/CUSTOM_{number}");
            ask("PUT", &path, 201);
            ask("DELETE", &path, 204);
        }
        ask("PUT", "/resource_classes/CUSTOM_LAST", 201);
    });
}
