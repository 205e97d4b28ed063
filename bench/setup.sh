#!/usr/bin/env bash
# Installs the peers of the benchmarks from Debian's packages. Starts none of them as a service.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "bench/setup.sh: needs root, to install packages" >&2; exit 1; }
# Debian starts what it installs, on the default ports; this is its own way to say no.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends nginx haproxy nats-server
