#!/usr/bin/env bash
# Installs the build, run-time and test dependencies of berth-compute-agent on Debian 12: libvirt with its headers, QEMU
# for x86 and qemu-img. Needs root. Options: --yes, --allow-downgrades.
set -euo pipefail
# shellcheck source=../xtask/packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/../xtask/packages.sh" "$@"

install_packages "building the agent" pkg-config binutils libvirt-dev

# The two packages of QEMU share files, so both need the version of the one that is installed.
version=$(dpkg-query --show --showformat='${Version}\n' qemu-system-x86 qemu-utils 2>/dev/null | awk 'NF { print; exit }')
if $downgrade || [ -z "$version" ]; then
  version=$(apt-cache policy qemu-system-x86 | awk '/Candidate/ { print $2 }')
fi
install_packages "guests" libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients \
  "qemu-system-x86=$version" "qemu-utils=$version"

# libvirt's QEMU driver requires this user, which is otherwise created by a package that is not needed here.
getent group libvirt-qemu >/dev/null || groupadd --system libvirt-qemu
getent passwd libvirt-qemu >/dev/null ||
  useradd --system --gid libvirt-qemu --no-create-home --home-dir /var/lib/libvirt --shell /usr/sbin/nologin libvirt-qemu
# Guests open /dev/kvm as this user.
if getent group kvm >/dev/null; then
  usermod --append --groups kvm libvirt-qemu
fi
