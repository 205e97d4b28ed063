#!/usr/bin/env bash
# Tries the example storage servers in other languages with the conformance kit, their clients through a balancer, a pool of them
# and ours together, and the README's calls with the real grpcurl:
#   check-languages.sh [--require] [python] [go] [grpcurl]
# What this machine has not got is left out, aloud; with --require that is a failure. Needs a built project (npm ci).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cli="$root/cli/bin/lb-cli.js"
require=false
languages=()
for word in "$@"; do
  case $word in
    --require) require=true ;;
    python | go | grpcurl) languages+=("$word") ;;
    *) echo "check-languages: expected --require, python, go or grpcurl; got '$word'" >&2; exit 2 ;;
  esac
done
[ ${#languages[@]} -gt 0 ] || languages=(python go grpcurl)

work=$(mktemp -d)
cleanup() {
  for pidfile in "$work"/*.pid; do
    [ -s "$pidfile" ] && kill -9 "$(cat "$pidfile")" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap cleanup EXIT

free_port() {
  node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'
}

# Each `prepare` fills `server` and `client`, the commands to run, or says in `missing` what is not there.
prepare_python() {
  local home="$root/examples/storage-python"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { missing="no Python 3.10 or later"; return 1; }
  { python3 -m venv "$home/.venv" && "$home/.venv/bin/pip" install --quiet --disable-pip-version-check -r "$home/requirements.txt"; } ||
    { missing="its packages cannot be installed"; return 1; }
  PYTHON="$home/.venv/bin/python" "$home/generate.sh" || return 2
  server=("$home/.venv/bin/python" "$home/server.py")
  client=("$home/.venv/bin/python" "$home/client.py")
}

prepare_go() {
  local home="$root/examples/storage-go"
  command -v go >/dev/null || { missing="no Go"; return 1; }
  (cd "$home" && go mod download) || { missing="its modules cannot be downloaded"; return 1; }
  "$home/generate.sh" || return 2
  (cd "$home" && go vet ./... && go build -o "$work/go-server" . && go build -o "$work/go-client" ./client) || return 2
  server=("$work/go-server")
  client=("$work/go-client")
}

prepare_grpcurl() {
  command -v go >/dev/null || { missing="no Go to build it with"; return 1; }
  GOBIN="$work" go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4 || { missing="its module cannot be downloaded"; return 1; }
}

# Tests that `npm test` leaves out, because they need more than Node.
run_lane() { (cd "$root" && PATH="$work:$PATH" npx mocha --no-config --reporter spec "examples/local-cluster/dist/languages/$1.lane.js"); }

try_server() {
  local port=$1 restart
  restart=("$root/examples/serve-again.sh" "$work/$language.pid" "$port" "${server[@]}" --listen "127.0.0.1:$port"
    --dir "$work/$language-files" --overload-files 12 --busy-files 24)
  "${restart[@]}"
  node "$cli" conformance storage "127.0.0.1:$port" --restart-cmd "$(printf '%q ' "${restart[@]}")" \
    --overload-files 12 --busy-files 24
}

# The client's files must come to lie in the server's folder, through a balancer that knows no other server.
try_client() {
  local server_port=$1 port admin_port file want
  port=$(free_port)
  admin_port=$(free_port)
  "$root/examples/serve-again.sh" "$work/balancer-$language.pid" "$port" node "$root/services/balancer/bin/bilancia-balancer.js" \
    --listen "127.0.0.1:$port" --admin-listen "127.0.0.1:$admin_port" --web-listen "" --state-dir "$work/balancer-$language" \
    --log-file "" --server "name=$language,address=127.0.0.1:$server_port,weight=1"
  : >"$work/empty.bin"
  printf 'Buongiorno' >"$work/small.txt"
  head -c 5000000 /dev/urandom >"$work/large.bin"
  "${client[@]}" "127.0.0.1:$port" "$work/empty.bin" "$work/small.txt" "$work/large.bin"
  for file in empty.bin small.txt large.bin; do
    want=$(echo "$work/$language-files/"[0-9]*"_$file")
    cmp "$work/$file" "$want" || { echo "check-languages: $file is not there once, as it was sent: $want" >&2; exit 1; }
  done
}

left_out=0
pool=()
for language in "${languages[@]}"; do
  printf '\n== %s\n' "$language"
  missing="" server=() client=()
  status=0
  "prepare_$language" || status=$?
  if [ "$status" = 1 ]; then
    echo "LEFT OUT: $language: $missing on this machine"
    left_out=$((left_out + 1))
    continue
  fi
  [ "$status" = 0 ] || { echo "check-languages: the $language example does not build" >&2; exit 1; }
  if [ "$language" = grpcurl ]; then
    run_lane grpcurl
    continue
  fi
  server_port=$(free_port)
  try_server "$server_port"
  try_client "$server_port"
  upper=$(tr a-z A-Z <<<"$language")
  pool+=("STORAGE_$upper=$(printf '%s\n' "${server[@]}")" "CLIENT_$upper=$(printf '%s\n' "${client[@]}")")
done

if [ ${#pool[@]} -gt 0 ]; then
  printf '\n== one pool\n'
  (export "${pool[@]}" && run_lane mixed-pool && run_lane clients)
fi

printf '\n%s of %s tried\n' "$((${#languages[@]} - left_out))" "${#languages[@]}"
if $require && [ "$left_out" -gt 0 ]; then exit 1; fi
