"""Runs one Python function as an HTTP server: `python3 -B -I -S -X utf8 /rouse/python/__main__.py`."""

import sys

# At the end: a module of the standard library always wins over one of ours.
sys.path.append(__file__.rpartition("/")[0] or ".")

from rouse.main import main

if __name__ == "__main__":
    main()
