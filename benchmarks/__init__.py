"""How it is measured. What measures needs POSIX: processes' limits, signals and locks."""

import sys

if sys.platform == "win32":
    print(
        "error: this measures on Linux, macOS or WSL, and not on Windows itself; python -m report works anywhere",
        file=sys.stderr,
    )
    raise SystemExit(2)
