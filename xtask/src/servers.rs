//! Servers that tests start: RabbitMQ, MariaDB and etcd.

use std::path::Path;

use crate::packages::Packages;
use crate::step::Steps;

/// The programs that the tests look for.
const PROGRAMS: [&str; 4] = [
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/usr/sbin/mariadbd",
    "/usr/bin/mariadb-install-db",
    "/usr/bin/etcd",
];

/// Installs them, unless they are installed. Where that is not possible, the tests that need them
/// are skipped and say so.
pub(crate) fn install(steps: &mut Steps, packages: Packages) {
    if PROGRAMS.iter().all(|program| Path::new(program).exists()) {
        return;
    }
    let script = "system-tests/install-servers.sh";
    if let Err(error) = packages.install(steps, "RabbitMQ, MariaDB and etcd (Debian, as root)", script) {
        steps.skip(&format!("not installed: {error:#}"), "tests with RabbitMQ, MariaDB and etcd");
    }
}
