#!/usr/bin/env bash
# Install the programs of PostgreSQL and MariaDB for the tests (tests/databases/servers.py starts servers of its own).
# Does nothing where they are or where there is no apt. Starts no service: a policy file says so while apt runs.
set -euo pipefail

PACKAGES=()
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || PACKAGES+=(postgresql)
command -v mariadbd >/dev/null || [ -x /usr/sbin/mariadbd ] || PACKAGES+=(mariadb-server)
if [ ${#PACKAGES[@]} -eq 0 ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "install-servers: not installed and no apt-get here: ${PACKAGES[*]}" >&2
    exit 0
fi
AS_ROOT=()
[ "$(id -u)" -eq 0 ] || AS_ROOT=(sudo)

POLICY=/usr/sbin/policy-rc.d
if [ ! -e "$POLICY" ]; then
    trap '"${AS_ROOT[@]}" rm -f "$POLICY"' EXIT
    printf '#!/bin/sh\nexit 101\n' | "${AS_ROOT[@]}" install -m 755 /dev/stdin "$POLICY"
fi
"${AS_ROOT[@]}" apt-get update -qq
"${AS_ROOT[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${PACKAGES[@]}" </dev/null >/dev/null
