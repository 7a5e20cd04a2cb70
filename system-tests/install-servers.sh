#!/usr/bin/env bash
# Installs the servers that tests of nova-rpc and system-tests start, on Debian 12: RabbitMQ and MariaDB. Needs root.
# Options: --yes, --allow-downgrades.
set -euo pipefail
# shellcheck source=../xtask/packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/../xtask/packages.sh" "$@"
# Debian starts RabbitMQ as a service otherwise; tests have brokers of their own.
export RUNLEVEL=1

install_packages "tests of Nova's message bus and databases" rabbitmq-server mariadb-server-core mariadb-client-core
