#!/usr/bin/env bash
# Kills a server and starts it again, as `lb-cli conformance --restart-cmd` wants it:
#   serve-again.sh PIDFILE PORT COMMAND...
# The process id is kept in PIDFILE, its output in PIDFILE.log. Ends with 0 once the port takes connections.
set -euo pipefail
pidfile=$1 port=$2
shift 2
if [ -s "$pidfile" ]; then
  pid=$(cat "$pidfile")
  kill -9 "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
fi
"$@" >>"$pidfile.log" 2>&1 </dev/null &
pid=$!
echo "$pid" >"$pidfile"
for _ in $(seq 600); do
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then exit 0; fi
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.05
done
echo "serve-again: the server does not serve on port $port" >&2
tail -n 20 "$pidfile.log" >&2
exit 1
