#!/usr/bin/env bash
# A smoke test under every Python from 3.8 to 3.12 that this machine has: install, import, train a
# few steps, evaluate, predict.
set -euo pipefail
cd "$(dirname "$0")/.."
for python in $(tests/find_python.sh all); do
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  venv=.venv-$version
  echo "== Python $version"
  if [ ! -f "$venv/ready" ]; then
    rm -rf "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -c requirements.txt mxnet
    "$venv/bin/python" -m pip install -q --disable-pip-version-check -c requirements.txt -e .[dev]
    touch "$venv/ready"
  fi
  "$venv/bin/mxnetseg" doctor
  "$venv/bin/python" -m pytest tests/test_smoke.py
done
