#!/usr/bin/env bash
# Installs the servers that tests of nova-rpc and system-tests start, on Debian 12: RabbitMQ and MariaDB. Needs root.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
# Debian starts RabbitMQ as a service otherwise; tests have brokers of their own.
export RUNLEVEL=1

apt-get update -qq
apt-get install -y -qq --no-install-recommends rabbitmq-server mariadb-server-core mariadb-client-core
