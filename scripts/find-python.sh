#!/bin/sh
# Print the path of a Python that can run Myna (3.11 or newer), or say what is missing and exit 1.
# The user's own `python3` goes first: an activated environment or a version manager means it.
set -eu
supported='import sys; sys.exit(sys.version_info < (3, 11))'
found=''
for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    if command -v "$name" >/dev/null 2>&1 && version=$("$name" --version 2>/dev/null); then
        if "$name" -c "$supported" 2>/dev/null; then
            command -v "$name"
            exit 0
        fi
        found="$found${found:+, }$name is $version"
    fi
done
echo "Myna needs Python 3.11 or newer${found:+ ($found)}." >&2
echo "Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2
exit 1
