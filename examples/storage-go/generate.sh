#!/usr/bin/env bash
# Generates the Go code of the contract into gen, with buf and the plugins that go.mod names as tools.
set -euo pipefail
cd "$(dirname "$0")"
../../node_modules/.bin/buf generate ../.. --template buf.gen.yaml \
  --path ../../proto/bilancia/v1/storage.proto --path ../../proto/bilancia/v1/balancer.proto
