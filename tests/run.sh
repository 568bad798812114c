#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests through CTest. Arguments are presets of
# CMakePresets.json, `dev` without any: ./tests/run.sh dev asan. Ends with one line,
# "N passed, N failed", and fails when a test or a build did.
set -uo pipefail
cd "$(dirname "$0")/.."

packages=(gcc g++ libc6-dev cmake ninja-build pkg-config python3 libpython3-dev libuv1-dev
    libglib2.0-dev libgtk-4-dev
    libsqlite3-dev libpng-dev gdb valgrind python3-greenlet python3-twisted python3-coverage
    libpython3.11-testsuite libsdl2-dev qt6-base-dev xvfb xdotool
    redis-server postgresql-15 mariadb-server-core nginx openssh-server openssl util-linux
    python3-redis python3-psycopg2 python3-psycopg python3-pymysql python3-requests python3-aiohttp python3-paramiko)
for preset in "$@"; do
    [ "$preset" = clang ] && packages+=(clang)
done
sdk/install-packages.sh "${packages[@]}" || exit 1

passed=0
failed=0

# Runs one preset's tests, counting.
run() {
    local preset=$1 log=build/$1/ctest.log counts

    echo "== $preset"
    if ! cmake --preset "$preset" -DPython3_ROOT_DIR="${BINE_PYTHON_ROOT:-/usr}" >/dev/null ||
        ! cmake --build --preset "$preset"; then
        echo "The build of '$preset' failed."
        failed=$((failed + 1))
        return
    fi
    ctest --test-dir "build/$preset" --output-on-failure -j "$(nproc)" >"$log" 2>&1
    # "97% tests passed, 3 tests failed out of 100"
    counts=$(sed -n 's/.* \([0-9]*\) tests failed out of \([0-9]*\)$/\1 \2/p' "$log")
    if [ -z "$counts" ]; then
        tail -n 40 "$log"
        failed=$((failed + 1))
        return
    fi
    set -- $counts
    [ "$1" = 0 ] || cat "$log"
    failed=$((failed + $1))
    passed=$((passed + $2 - $1))
    echo "$(($2 - $1)) of $2"
}

[ $# -gt 0 ] || set -- dev
for preset in "$@"; do
    run "$preset"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
