#!/bin/sh
# Make the virtual environment $1 unless a working one is there.
set -eu
directory=$1
python=$("$(dirname "$0")/find-python.sh")
if "$directory/bin/python" -m pip --version >/dev/null 2>&1; then
    exit 0
fi
echo "Creating $directory with $("$python" --version)"
if ! "$python" -m venv --clear "$directory"; then
    echo "$python can't make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2
    echo "Or use another Python: make setup PYTHON=/path/to/python3.12" >&2
    exit 1
fi
