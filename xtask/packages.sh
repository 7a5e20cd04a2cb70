# Sourced, with the caller's arguments, by the scripts that install Debian packages.

yes=false
downgrade=false
for option in "$@"; do
  case $option in
    --yes) yes=true ;;
    --allow-downgrades) downgrade=true ;;
    *)
      echo "usage: $0 [--yes] [--allow-downgrades]" >&2
      exit 2
      ;;
  esac
done

# install_packages PURPOSE PACKAGE[=VERSION]...
# Prints which packages it is about to install and why, and asks, unless --yes is given. Fails, and installs nothing,
# where installed packages would be removed or replaced by older ones (the latter is possible with --allow-downgrades).
install_packages() {
  local purpose=$1 plan harm new answer
  local -a install=(install --no-install-recommends)
  shift
  if $downgrade; then
    install+=(--allow-downgrades)
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  if ! plan=$(LC_ALL=C apt-get --simulate "${install[@]}" "$@" 2>&1); then
    printf '%s\n' "$plan" "error: for $purpose: these packages cannot be installed: $*" >&2
    return 1
  fi
  harm=$(awk '/^The following .*(REMOVED|DOWNGRADED):/ { on = !(/DOWNGRADED/ && allowed); next } /^[^ ]/ { on = 0 } on' \
    allowed="$($downgrade && echo 1 || echo 0)" <<<"$plan" | xargs)
  if [ -n "$harm" ]; then
    echo "error: for $purpose: nothing was installed; these packages would be removed or replaced by older ones: $harm" >&2
    return 1
  fi
  new=$(awk '$1 == "Inst" { print $2 }' <<<"$plan" | sort -u | xargs)
  if [ -z "$new" ]; then
    return 0
  fi
  echo "for $purpose, apt-get installs: $new"
  if ! $yes; then
    if [ ! -t 0 ]; then
      echo "error: for $purpose: nothing was installed; no terminal to ask on: repeat with --yes" >&2
      return 1
    fi
    read -r -p "Go on? [y/N] " answer
    if [[ $answer != [yY]* ]]; then
      echo "error: for $purpose: nothing was installed; the answer was no" >&2
      return 1
    fi
  fi
  apt-get -y -qq "${install[@]}" "$@"
}
