#!/usr/bin/env bash
# Installs the build, run-time and test dependencies of berth-compute-agent on Debian 12: libvirt with its headers, QEMU
# for x86 and qemu-img. Needs root.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

apt-get update -qq
# qemu-utils must have the same version as QEMU, because the two packages share files.
version=$(apt-cache policy qemu-system-x86 | awk '/Candidate/ { print $2 }')
apt-get install -y -qq --no-install-recommends --allow-downgrades \
  pkg-config binutils libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients libvirt-dev qemu-system-x86 "qemu-utils=$version"

# libvirt's QEMU driver requires this user, which is otherwise created by a package that is not needed here.
getent group libvirt-qemu >/dev/null || groupadd --system libvirt-qemu
getent passwd libvirt-qemu >/dev/null ||
  useradd --system --gid libvirt-qemu --no-create-home --home-dir /var/lib/libvirt --shell /usr/sbin/nologin libvirt-qemu
# Guests open /dev/kvm as this user.
if getent group kvm >/dev/null; then
  usermod --append --groups kvm libvirt-qemu
fi
