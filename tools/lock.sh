#!/bin/sh
# Renew requirements.lock, -test.lock and -train.lock from pyproject.toml: every version and hash, for every platform. Needs uv.
set -eu
cd "$(dirname "$0")/.."
lock="uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate"
build=$(mktemp)
trap 'rm -f "$build"' EXIT
echo "setuptools>=80" > "$build" # run.py builds without isolation, so the build backend is locked too
$lock pyproject.toml "$build" -o requirements.lock "$@"
$lock pyproject.toml "$build" --extra gateway --extra test -c requirements.lock -o requirements-test.lock "$@"
$lock pyproject.toml "$build" --extra gateway --extra test --extra train -c requirements-test.lock -o requirements-train.lock "$@"
