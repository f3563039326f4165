"""What is blocked and what is missed, on the data sets at hand: a thin caller of `cnaf evaluate`.

Progress and the table go to standard error; the last line of standard output is one JSON object.

    python benchmarks/detection.py
    python benchmarks/detection.py --data FOLDER --out FOLDER --quick
"""

from __future__ import annotations

import sys

from cnaf.ci_plugin.main import app

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if not any(argument.partition("=")[0] == "--out" for argument in arguments):
        arguments = ["--out", "build/detection", *arguments]
    app(["evaluate", *arguments, "--json"])
