#!/usr/bin/env bash
# Builds the wheel and tries it in empty environments of the oldest and the newest Python that are
# there: the command, the catalog and the shipped network must be in it.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mapfile -t pythons < <(for python in $(tests/find_python.sh all); do
  echo "$("$python" --version) $python"
done | sort -V | cut -d ' ' -f 3)
"${pythons[0]}" -m venv "$folder/build"
"$folder/build/bin/python" -m pip wheel -q --disable-pip-version-check --no-deps -w "$folder/wheel" .
for python in "${pythons[0]}" "${pythons[-1]}"; do
  echo "== $("$python" --version)"
  rm -rf "$folder/venv" "$folder/work"
  mkdir "$folder/work"
  "$python" -m venv "$folder/venv"
  "$folder/venv/bin/python" -m pip install -q --disable-pip-version-check -c requirements.txt \
    mxnet "$folder"/wheel/*.whl
  cd "$folder/work" # away from the repository
  "$folder/venv/bin/mxnetseg" --version
  "$folder/venv/bin/mxnetseg" datasets | grep -q camvid
  "$folder/venv/bin/mxnetseg" predict "$here/demo/street.jpg" -o out --ctx cpu
  test -f out/overlay/street.png
  cd "$here"
done
