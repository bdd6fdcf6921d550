#!/usr/bin/env bash
# Print a Python that MXNet 1.9.1 runs on (3.8 to 3.12, with venv and pip), or say what is missing.
# With "all", print one of each version that is there.
check='import sys, venv, ensurepip; sys.exit(not (3, 8) <= sys.version_info[:2] <= (3, 12))'
found=0
versions="3.11 3.10 3.12 3.9 3.8"
[ "${1:-}" = all ] || versions="$versions 3"
for version in $versions; do
  for python in $(type -ap "python$version") "$HOME"/.pyenv/versions/"$version".*/bin/python; do
    if [ -x "$python" ] && "$python" -c "$check" >/dev/null 2>&1; then
      echo "$python"
      found=1
      [ "${1:-}" = all ] && break
      exit 0
    fi
  done
done
if [ $found = 0 ]; then
  echo "No Python 3.8 to 3.12 with venv was found; MXNet 1.9.1 runs on no other." \
       "Install one, for example: apt-get install python3.11 python3.11-venv" >&2
  exit 1
fi
