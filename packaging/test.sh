#!/usr/bin/env bash
# test.sh OLD NEW: installs, upgrades, removes and purges packages of two versions in a clean Debian, checks their units, and runs
# the image. OLD and NEW are directories that build.sh wrote. Needs root.
set -euo pipefail
old=$1 new=$2
work=$(mktemp -d)
root=$work/root
serving=
trap '[ -z "$serving" ] || kill "$serving" 2>/dev/null; rm -rf --one-file-system "$work"' EXIT

step() { echo "--- $*"; }
fail() { echo "error: $*" >&2; exit 1; }
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }
# The service as its unit starts it, but for authentication; answers in the background process `serve`.
serve() {
  # Not by `inside`: the process in the background has to be the service itself.
  chroot "$root" setpriv --reuid=berth --regid=berth --clear-groups /usr/bin/berth serve --config /etc/berth/berth.toml \
    --set serve.auth=noauth2 >"$work/log" 2>&1 &
  serving=$!
  for _ in $(seq 200); do
    if inside berth health >"$work/health" 2>&1; then return; fi
    kill -0 "$serving" 2>/dev/null || break
    sleep 0.1
  done
  cat "$work/log" "$work/health" >&2
  fail "the service is not ready"
}
stop() { kill "$serving"; wait "$serving" || fail "the service ended with $?: $(cat "$work/log")"; serving=; }

step "alerts"
(cd "$(dirname "$0")/prometheus" && promtool test rules berth.rules.test.yml)

step "a clean Debian 12"
mmdebstrap --quiet --variant=apt --include=systemd,man-db bookworm "$root"
inside apt-get -qq update
mkdir -p "$root/packages"
cp "$old"/*.deb "$root/packages/"

step "lintian"
lintian --fail-on error --allow-root "$new"/*.deb

step "install"
inside sh -c 'apt-get -qq -y --no-install-recommends install /packages/berth_*.deb' >"$work/apt" 2>&1 || { cat "$work/apt"; exit 1; }
inside getent passwd berth >/dev/null || fail "there is no user berth"
inside berth --version
inside man --where berth-serve >/dev/null || fail "there is no manual page"
[ -e "$root/usr/share/bash-completion/completions/berth.bash" ] || fail "there are no completions"
[ ! -e "$root/etc/systemd/system/multi-user.target.wants/berth.service" ] || fail "it starts before it has settings"

step "serve and claim"
install -d -o "$(inside id -u berth)" -g "$(inside id -g berth)" -m 0700 "$root/var/lib/berth"
serve
inside berth host list >/dev/null
stop

step "upgrade: the configuration and the state stay"
echo '# changed by the operator' >>"$root/etc/berth/berth.toml"
cp "$new"/*.deb "$root/packages/"
inside sh -c 'apt-get -qq -y -o Dpkg::Options::=--force-confold install /packages/berth_*+*.deb' >"$work/apt" 2>&1 || { cat "$work/apt"; exit 1; }
grep -q 'changed by the operator' "$root/etc/berth/berth.toml" || fail "the configuration was replaced"
serve
stop

step "units"
for unit in berth; do
  inside systemd-analyze verify --man=no "/lib/systemd/system/$unit.service"
  inside systemd-analyze security --offline=yes --threshold=20 "/lib/systemd/system/$unit.service" | tail -1
done

step "remove, then purge: settings go last, the state stays"
inside apt-get -qq -y remove berth >/dev/null 2>&1
[ ! -e "$root/usr/bin/berth" ] || fail "the program is left"
[ -e "$root/etc/berth/berth.toml" ] || fail "removing took the settings"
inside apt-get -qq -y purge berth >/dev/null 2>&1
[ ! -e "$root/etc/berth/berth.toml" ] || fail "purging left the settings"
[ -e "$root/var/lib/berth" ] || fail "purging took the state"

step "the Ansible role"
inside apt-get -qq -y --no-install-recommends install ansible-core python3-apt >"$work/apt" 2>&1 || { cat "$work/apt"; exit 1; }
cp -r "$(dirname "$0")/ansible" "$root/ansible"
package=$(basename "$new"/berth_*.deb)
inside sh -c "cd /ansible && ANSIBLE_LOCALHOST_WARNING=0 ansible-playbook -i localhost, test.yml -e berth_package=/packages/$package \
  -e berth_keystone_auth_url=https://keystone.example.com:5000/v3 -e berth_keystone_password=secret" >"$work/ansible" 2>&1 || { cat "$work/ansible"; exit 1; }
tail -2 "$work/ansible"
inside berth config check --config /etc/berth/berth.toml >/dev/null || fail "the role's settings are refused"
if inside sh -c "cd /ansible && ansible-playbook -i localhost, test.yml" >"$work/ansible" 2>&1; then fail "missing variables are accepted"; fi
grep -q 'berth_package is needed' "$work/ansible" || { cat "$work/ansible"; fail "the missing variable is not named"; }
inside apt-get -qq -y purge berth >/dev/null 2>&1

step "the agent"
inside sh -c 'apt-get -qq -y --no-install-recommends install /packages/berth-agent_*+*.deb' >"$work/apt" 2>&1 || { cat "$work/apt"; exit 1; }
inside berth-agent --version
inside systemd-analyze verify --man=no /lib/systemd/system/berth-agent.service
inside systemd-analyze security --offline=yes --threshold=50 /lib/systemd/system/berth-agent.service | tail -1
inside apt-get -qq -y purge berth-agent >/dev/null 2>&1
[ ! -e "$root/etc/berth/agent.env" ] || fail "purging left the agent's settings"

step "the image: read-only root, no privileges, one process"
image=$(podman load --quiet --input "$new/berth-image.docker.tar" | sed 's/.*: //')
printf '[serve]\nauth = "noauth2"\n' >"$work/berth.toml"
container=$(podman --runtime "$(command -v runc)" run --detach --read-only --cap-drop all --network none --ulimit nofile=2000:2000 \
  --ulimit nproc=1000:1000 --volume "$work/berth.toml:/etc/berth/berth.toml:ro" "$image")
for _ in $(seq 100); do
  podman exec "$container" /usr/bin/berth health >"$work/health" 2>&1 && break
  sleep 0.1
done
cat "$work/health"
podman healthcheck run "$container" || fail "the container is not healthy: $(podman logs "$container" 2>&1)"
[ "$(podman top "$container" pid | wc -l)" = 2 ] || fail "there is more than one process"
podman stop --time 30 "$container" >/dev/null
[ "$(podman inspect --format '{{.State.ExitCode}}' "$container")" = 0 ] || fail "it did not end properly"
podman rm "$container" >/dev/null
podman rmi --force "$image" >/dev/null
step "done"
