#!/usr/bin/env bash
# Installs what `cargo xtask package` needs on Debian 12. packages.sh has the options.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=../xtask/packages.sh
source xtask/packages.sh "$@"
install_packages "Debian packages and an image of Berth" \
  dpkg-dev debhelper fakeroot lintian mmdebstrap podman runc prometheus
