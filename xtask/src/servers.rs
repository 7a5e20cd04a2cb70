//! Servers that tests start: RabbitMQ, MariaDB, PostgreSQL and etcd.

use std::path::Path;

use crate::packages::Packages;
use crate::step::Steps;

/// The programs that the tests look for, and the directory of all versions of PostgreSQL.
const PROGRAMS: [&str; 5] = [
    "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "/usr/sbin/mariadbd",
    "/usr/bin/mariadb-install-db",
    "/usr/lib/postgresql",
    "/usr/bin/etcd",
];

/// Installs them, unless they are installed. Where that is not possible, the tests that need them
/// are skipped and say so.
pub(crate) fn install(steps: &mut Steps, packages: Packages) {
    if PROGRAMS.iter().all(|program| Path::new(program).exists()) {
        return;
    }
    let (script, servers) = ("system-tests/install-servers.sh", "RabbitMQ, MariaDB, PostgreSQL and etcd");
    if let Err(error) = packages.install(steps, &format!("{servers} (Debian, as root)"), script) {
        steps.skip(&format!("not installed: {error:#}"), &format!("tests with {servers}"));
    }
}
