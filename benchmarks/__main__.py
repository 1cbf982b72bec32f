"""Run every benchmark and write docs/benchmarks.md: `python -m benchmarks`; with `--smoke` at toy size, writing nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.line import note

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
HELPERS = ("__init__.py", "__main__.py", "door.py", "line.py", "served.py", "streaming.py", "towers.py")


def main() -> None:
    """Stop at the first benchmark that fails: a page with a hole would read as if nothing was missing. One at a time, since they are timed;
    at toy size, where nobody reads the times, one a core."""
    names = [path.stem for path in sorted(HERE.glob("*.py")) if path.name not in HELPERS]
    smoke = "--smoke" in sys.argv
    lines = []
    with ThreadPoolExecutor((os.cpu_count() or 1) if smoke else 1) as pool:
        runs = [pool.submit(run, name) for name in names]
        try:
            for each in runs:
                lines.append(each.result())
                print(json.dumps(lines[-1]), flush=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    if not smoke:
        PAGE.write_text(page(lines))


def run(name: str) -> dict[str, Any]:
    """The last line that a benchmark prints. Raises CalledProcessError where it fails."""
    note(f"== {name}")
    command = [sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE.parent).stdout
    line: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return line


def page(lines: list[dict[str, Any]]) -> str:
    """The page: one row a benchmark, and its details as they were printed."""
    rows = "\n".join(
        f"| {n['name']} | {n['ours']} | {n['theirs']} | {n['unit']} | {n['ratio']} | {n['aim']} | {n['rounds']} |"
        for n in lines
    )
    details = "\n\n".join(
        f"## {n['name']}\n`python -m benchmarks.{n['name']}` on {n['machine']}, {json.dumps(n['versions'])}\n\n"
        f"```json\n{json.dumps(n['detail'], indent=1)}\n```"
        for n in lines
    )
    return (
        "# Benchmarks\n\nEach row is the last line of the command named below it; `make bench` runs them all and writes this page. "
        "Medians of interleaved rounds, ratio = ours / theirs.\n\n"
        "| benchmark | ours | theirs | unit | ratio | aim | rounds |\n|---|---|---|---|---|---|---|\n"
        f"{rows}\n\n{details}\n"
    )


if __name__ == "__main__":
    main()
