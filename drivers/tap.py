"""The checks' common part: the target from POSTERN_TARGET, one `ok`/`not ok` line a check."""

import json
import os
import sys

TARGET = json.loads(os.environ["POSTERN_TARGET"])
failed = False


def report(name: str, error: BaseException | None) -> None:
    global failed
    if error is None:
        print(f"ok {name}", flush=True)
        return
    failed = True
    print(f"not ok {name}", flush=True)
    for line in f"{type(error).__name__}: {error}".splitlines():
        print(f"# {line}", flush=True)


def finish() -> None:
    sys.exit(1 if failed else 0)
