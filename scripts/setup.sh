#!/usr/bin/env bash
# Installs what building and testing need and this machine lacks; does nothing when all is there.
#
#   scripts/setup.sh             a C compiler and the PostgreSQL server programs
#   scripts/setup.sh --clients   also python3 with venv, node and npm, which generate and try the clients
#   scripts/setup.sh --bench     also postfix (with smtp-source and smtp-sink) and opendkim, as peers to measure against
#   scripts/setup.sh --interop   also receivers and verifiers, in /var/cache/pennypost-interop (or $PENNYPOST_INTEROP); nothing is installed or started
#
# On Debian and Ubuntu it installs by apt, as root or by sudo without a password; no service of what it installs is started. Elsewhere it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "setup: $*" >&2; }
die() { say "$*"; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_install() {
    command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

# Installs packages, or says what to do where that cannot be done. $1 is what is missing, for people.
install() {
    local what=$1
    shift
    can_install || die "$what missing. On Debian or Ubuntu: sudo apt-get install $*. On Fedora: dnf install postgresql-server gcc. On macOS: brew install postgresql@17. Elsewhere: install it and put it in the PATH, or set database.bin_dir."
    say "$what missing: installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >&2
}

# Debian starts what it installs; these programs are run by the scripts with their own configuration instead.
without_services() {
    local policy=/usr/sbin/policy-rc.d made=
    if can_install && [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
        made=yes
    fi
    local failed=0
    "$@" || failed=$?
    if [ -n "$made" ]; then as_root rm -f $policy; fi
    return $failed
}

find_postgres() {
    local found
    found=$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin 2>/dev/null | sort -V | tail -1 || true)
    if [ -n "$found" ] && [ -x "$found/initdb" ]; then echo "$found"; return; fi
    found=$(command -v initdb || true)
    if [ -n "$found" ]; then dirname "$found"; fi
}

base() {
    command -v cargo >/dev/null || die "cargo missing. Install Rust by https://rustup.rs; rust-toolchain.toml names the version."
    command -v cc >/dev/null || install "a C compiler" gcc libc6-dev
    if [ -z "$(find_postgres)" ]; then
        # No cluster of the system's own is made: Pennypost runs the server itself.
        if can_install && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
            as_root mkdir -p /etc/postgresql-common/createcluster.d
            echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.d/pennypost.conf >/dev/null
        fi
        without_services install "the PostgreSQL server" postgresql
    fi
    [ -n "$(find_postgres)" ] || die "PostgreSQL was installed and initdb is not found; set database.bin_dir."
}

clients() {
    local missing=()
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
    command -v node >/dev/null || missing+=(nodejs)
    command -v npm >/dev/null || missing+=(npm)
    [ ${#missing[@]} = 0 ] || install "what clients are made with" "${missing[@]}"
}

bench() {
    local missing=()
    command -v postfix >/dev/null || [ -x /usr/sbin/postfix ] || missing+=(postfix)
    command -v opendkim >/dev/null || [ -x /usr/sbin/opendkim ] || missing+=(opendkim)
    command -v python3 >/dev/null || missing+=(python3)
    command -v openssl >/dev/null || missing+=(openssl)
    command -v pgbench >/dev/null || [ -x "$(find_postgres)/pgbench" ] || missing+=(postgresql-contrib)
    [ ${#missing[@]} = 0 ] && return
    can_install && echo "postfix postfix/main_mailer_type select No configuration" | as_root debconf-set-selections
    without_services install "peers to measure against" "${missing[@]}"
}

# Mail servers exclude each other as Debian packages, so none is installed: each is unpacked with all it needs, the C library too,
# into a root of its own, outside the repository. What cannot be had is skipped here and named by the checks.
interop() {
    local cache=${PENNYPOST_INTEROP:-/var/cache/pennypost-interop} list=tests/interop/requirements.txt
    if can_install; then
        as_root mkdir -p "$cache/roots"
        unpack "$cache/roots" postfix postfix dash coreutils
        unpack "$cache/roots" exim4 exim4-daemon-light
        unpack "$cache/roots" opensmtpd opensmtpd dash coreutils
        unpack "$cache/roots" chasquid chasquid dash coreutils
        unpack "$cache/roots" opendkim opendkim-tools
        unpack "$cache/roots" smtp-clients swaks libio-socket-ssl-perl libnet-ssleay-perl msmtp curl php-cli libphp-phpmailer nodejs node-nodemailer dash coreutils
        unpack "$cache/roots" unbound unbound ldnsutils dash coreutils
        unpack "$cache/roots" nsd nsd dash coreutils
        # No service and no configuration of its own: it may be installed as it is.
        command -v pebble >/dev/null || install "an ACME server" pebble
    else
        say "receivers are skipped: unpacking them needs apt (Debian or Ubuntu) and root"
    fi
    cmp -s "$list" "$cache/python/.installed" && return
    say "installing from PyPI: $(tr '\n' ' ' <"$list")"
    python3 -c 'import ensurepip, venv' 2>/dev/null || install "Python with venv" python3 python3-venv
    as_root python3 -m venv --clear "$cache/python"
    as_root "$cache/python/bin/pip" install -q --disable-pip-version-check -r "$list" >&2 || { say "PyPI programs are skipped: pip failed"; return; }
    as_root cp "$list" "$cache/python/.installed"
}

# unpack ROOTS NAME PACKAGE..: apt with an empty list of installed packages names and fetches everything that PACKAGE needs.
unpack() {
    local roots=$1 name=$2 root=$1/$2 archive
    shift 2
    [ -e "$root/.unpacked" ] && return
    say "unpacking $name: $*"
    [ -n "${lists_are_fresh:-}" ] || as_root apt-get update -q >&2 || true
    lists_are_fresh=yes
    as_root rm -rf "$root"
    as_root mkdir -p "$root/archives/partial" "$root"/usr/{bin,sbin,lib,lib64}
    as_root touch "$root/archives/status"
    local links=(bin sbin lib lib64) link
    for link in "${links[@]}"; do as_root ln -s "usr/$link" "$root/$link"; done
    if ! as_root apt-get -q -y --no-install-recommends --download-only -o "Dir::State::status=$root/archives/status" -o "Dir::Cache::archives=$root/archives" \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= install "$@" >&2; then
        say "$name is skipped: apt could not fetch it"
        return
    fi
    for archive in "$root"/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$archive" | as_root tar -x --keep-directory-symlink -C "$root"
    done
    dpkg-deb -f "$root/archives/$1"_*.deb Version | as_root tee "$root/.version" >/dev/null
    as_root rm -rf "$root/archives"
    as_root touch "$root/.unpacked"
}

base
for option in "$@"; do
    case $option in
        --clients) clients ;;
        --bench) bench ;;
        --interop) interop ;;
        *) say "unknown option $option; known are --clients, --bench and --interop"; exit 2 ;;
    esac
done
