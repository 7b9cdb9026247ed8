#!/bin/sh
# serve.sh TARGET: one of functions.py on port 8080, as the conformance client's -cmd wants it.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
ROUSE_SOURCE=$(cat "$here/functions.py") FUNCTION_TARGET=$1 PORT=8080 exec python3 -B -I -S -X utf8 "$here/../__main__.py"
