#!/usr/bin/env bash
# A PostgreSQL server for building and measuring, with durability on, on a unix socket only.
#
#   scripts/dev-database.sh start DIR   makes and starts one in DIR, applies migrations/, prints its URL
#   scripts/dev-database.sh stop DIR    stops it
#
# DIR must be short (a socket path has 107 octets at most). As root the server runs as `postgres`, else as `nobody`.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

bin=${POSTGRES_BIN:-$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -V | tail -1 || true)}
if [ -z "$bin" ]; then bin=$(dirname "$(command -v initdb)"); fi

unprivileged() {
    if [ "$(id -u)" != 0 ]; then "$@"; return; fi
    local user=postgres
    id -u $user >/dev/null 2>&1 || user=nobody
    setpriv --reuid "$user" --regid "$(id -g $user)" --clear-groups "$@"
}

start() {
    local directory=$1
    mkdir -p "$directory"
    if [ "$(id -u)" = 0 ]; then
        local user=postgres
        id -u $user >/dev/null 2>&1 || user=nobody
        chown "$user" "$directory"
    fi
    cd "$directory"
    if [ ! -e data/PG_VERSION ]; then
        unprivileged "$bin/initdb" -D "$directory/data" -U pennypost --auth=trust --encoding=UTF8 --locale=C --data-checksums >/dev/null
    fi
    unprivileged "$bin/pg_ctl" -D "$directory/data" -l "$directory/log" -w \
        -o "-c listen_addresses='' -c unix_socket_directories='$directory' ${POSTGRES_OPTIONS:-}" start >/dev/null
    local socket="host=$directory user=pennypost"
    if ! "$bin/psql" -qAt "$socket dbname=postgres" -c "select 1 from pg_database where datname = 'pennypost'" | grep -q 1; then
        "$bin/psql" -q "$socket dbname=postgres" -c 'create database pennypost' >&2
        for migration in "$root"/migrations/*.sql; do
            [ -e "$migration" ] || continue
            "$bin/psql" -q -v ON_ERROR_STOP=1 --single-transaction "$socket dbname=pennypost" -f "$migration" >&2
        done
    fi
    echo "postgres://pennypost@localhost/pennypost?host=$directory"
}

stop() {
    cd "$1"
    unprivileged "$bin/pg_ctl" -D "$1/data" -m fast -w stop >/dev/null
}

case ${1:-} in
    start | stop) "$1" "$(realpath -m "${2:?name a directory}")" ;;
    *) echo "usage: $0 start|stop DIR" >&2; exit 2 ;;
esac
