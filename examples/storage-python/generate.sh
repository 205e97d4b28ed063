#!/usr/bin/env bash
# Generates the Python code of the contract into bilancia/v1, with protoc as grpcio-tools brings it.
set -euo pipefail
cd "$(dirname "$0")"
"${PYTHON:-python3}" -m grpc_tools.protoc -I ../../proto --python_out=. --pyi_out=. --grpc_python_out=. \
  bilancia/v1/storage.proto bilancia/v1/balancer.proto
