#!/usr/bin/env bash
# Installs the servers that tests of nova-rpc, etcd, store and system-tests start, on Debian 12: RabbitMQ, MariaDB, PostgreSQL
# and etcd. Needs root.
# Options: --yes, --allow-downgrades.
set -euo pipefail
# shellcheck source=../xtask/packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/../xtask/packages.sh" "$@"
# Debian starts RabbitMQ, PostgreSQL and etcd as services otherwise; tests have servers of their own.
export RUNLEVEL=1

install_packages "tests of Nova's message bus and databases, and of etcd" rabbitmq-server mariadb-server-core mariadb-client-core \
  postgresql etcd-server
