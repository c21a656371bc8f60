# shellcheck shell=bash
# What start.sh and test.sh share: saying things, and packages.

# shellcheck disable=SC2034
build_packages=(gcc g++ libc6-dev meson ninja-build pkg-config librocksdb-dev libsodium-dev libjansson-dev
  libsimdjson-dev libintelrdfpmath-dev liblua5.4-dev libpcre2-dev librdkafka-dev libfuse3-dev fuse3)

# Prefix of what is done as the caller of sudo, not as root; start.sh sets it.
user=()

say() { printf '%s\n' "-- $*"; }
die() {
  printf '%s\n' "$0: $*" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "this needs root, and there is no sudo: $*"
  fi
}

# packages_install NAME...: those that are missing, by apt
packages_install() {
  local missing=() name
  command -v dpkg-query >/dev/null || {
    say "not a Debian system: going on without installing anything (needed: $*)"
    return
  }
  for name; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  if [ ${#missing[@]} = 0 ]; then
    say "all packages are installed"
    return
  fi
  say "installing ${missing[*]}"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
  # The lists of a fresh machine are empty, and those of an old one name packages that are gone.
  as_root "${apt[@]}" update || say "apt-get update failed: trying with the lists there are"
  as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt-get could not install: ${missing[*]}"
}

# build_setup DIR OPTION...: configures DIR, whether it is there or not; half a configuration is done again
build_setup() {
  local dir=$1 how=()
  shift
  [ -f "$dir/build.ninja" ] && how=(--reconfigure)
  [ -d "$dir" ] && [ ! -f "$dir/build.ninja" ] && rm -rf "$dir"
  "${user[@]}" meson setup "$dir" "${how[@]}" "$@" >"$dir.log" 2>&1 || {
    cat "$dir.log" >&2
    return 1
  }
}

fuse_check() {
  [ -e /dev/fuse ] || as_root modprobe fuse 2>/dev/null || true
  [ -e /dev/fuse ] || die "there is no /dev/fuse: the kernel has no FUSE, or this container was not given it"
}
