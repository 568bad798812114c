#!/usr/bin/env bash
# Installs what is missing, builds Bine and the examples, runs the colony. Arguments go to it:
# ./host-example/run.sh --agents 5000 --frames 600. Ctrl-C ends it and writes the picture. With --window the
# world is in a window, and a click on an agent shows its script's stack. --help tells the rest.
set -euo pipefail
cd "$(dirname "$0")/.."

sdk/install-packages.sh gcc libc6-dev cmake ninja-build pkg-config \
    python3 libpython3-dev libuv1-dev libsqlite3-dev libpng-dev libsdl2-dev
cmake --preset release -DBINE_BUILD_TESTS=OFF -DPython3_ROOT_DIR="${BINE_PYTHON_ROOT:-/usr}" >/dev/null
cmake --build --preset release
exec build/release/host-example/colony/colony "$@"
