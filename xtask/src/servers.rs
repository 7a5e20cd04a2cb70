//! Servers that tests start: RabbitMQ and MariaDB.

use std::path::Path;

use crate::packages::Packages;
use crate::step::Steps;

/// The programs that the tests look for.
const PROGRAMS: [&str; 3] =
    ["/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/sbin/mariadbd", "/usr/bin/mariadb-install-db"];

/// Installs them, unless they are installed. Where that is not possible, the tests that need them
/// are skipped and say so.
pub(crate) fn install(steps: &mut Steps, packages: Packages) {
    if PROGRAMS.iter().all(|program| Path::new(program).exists()) {
        return;
    }
    let script = "system-tests/install-servers.sh";
    if let Err(error) = packages.install(steps, "RabbitMQ and MariaDB (Debian, as root)", script) {
        steps.skip(&format!("not installed: {error:#}"), "tests with RabbitMQ and MariaDB");
    }
}
