#!/usr/bin/env bash
# build.sh PROGRAMS OUTPUT [REVISION]: Debian packages and an image from the compiled programs in the directory PROGRAMS.
# Replaces the directory OUTPUT. REVISION is appended to the version. Needs root for the image, as podman does.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
programs=$1 output=$2 revision=${3:-}
version=$("$programs/berth" --version | cut -d' ' -f2)${revision:+"+$revision"}
SOURCE_DATE_EPOCH=$(git -C "$here" log -1 --format=%ct)
export SOURCE_DATE_EPOCH

rm -rf "$output"
stage=$output/source
mkdir -p "$stage"/{bin,completions}
cp -r "$here/debian" "$stage/debian"
install -m 0755 "$programs/berth" "$programs/berth-agent" "$stage/bin"
install -m 0644 "$here/berth.toml" "$here/agent.env" "$stage"
install -m 0644 "$here"/*.service "$stage/debian"
"$programs/berth" completions bash >"$stage/completions/berth.bash"
"$programs/berth" completions zsh >"$stage/completions/_berth"
"$programs/berth" completions fish >"$stage/completions/berth.fish"
"$programs/berth" manual "$stage/man"
"$programs/berth-agent" --manual "$stage/agent-man"
install -m 0644 "$here/../CHANGELOG.md" "$stage/changelog"
cat >"$stage/debian/changelog" <<END
berth ($version) unstable; urgency=medium

  * The changes are in /usr/share/doc/berth/changelog.gz.

 -- The Berth project <berth@example.com>  $(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
END
(cd "$stage" && DEB_BUILD_OPTIONS=noautodbgsym dpkg-buildpackage --build=binary --no-sign)

# The image has what the program needs, and nothing to look around with.
image=$output/image
mkdir -p "$image/state"
mmdebstrap --quiet --variant=extract --include=base-files,ca-certificates,libc6,libgcc-s1,netbase bookworm "$image/rootfs.tar"
install -m 0755 "$programs/berth" "$image/berth"
tag=berth:$version
tag=${tag/+/-}
podman build --quiet --format docker --timestamp "$SOURCE_DATE_EPOCH" --tag "$tag" --file "$here/oci/Containerfile" "$image"
# Only the second form has the health check: OCI's has no place for one.
podman save --quiet --format oci-archive --output "$output/berth-image.oci.tar" "$tag"
podman save --quiet --format docker-archive --output "$output/berth-image.docker.tar" "$tag"
podman rmi --force "$tag" >/dev/null
rm -rf "$image" "$stage"
ls -l "$output"
