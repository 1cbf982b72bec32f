"""The report of a sweep of many trials: how long it takes to write, in how much memory, how large it is, and how soon Chromium shows it.

ours: seconds from the result files to a written report, pictures and CSVs with it, in a process of its own. theirs: the aim, 60 s. The
aims hold on an idle machine; detail has the processor's seconds beside the clock's, and of the page the seconds until it is loaded and its
script has run (without Chromium: absent). Trials are synthetic, with every result of the miniature. With --smoke: 30 trials.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.line import finish, note
from gelo.tasks.protocols import PROTOCOLS
from tests.analysis.sweeps import SETS, write_result, write_sweep, write_trial

AIM = "500 trials: opens <= 3 s, <= 15 MB; 10,000 trials: written <= 60 s, <= 2,000 MB"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        print(json.dumps(written(Path(asked.write))))
        return
    count = 30 if asked.smoke else asked.trials
    with tempfile.TemporaryDirectory() as scratch:
        make(Path(scratch), count)
        note(f"{count} trials are there")
        command = [sys.executable, "-m", "benchmarks.report", "--write", scratch]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        detail: dict[str, Any] = {"trials": count, **json.loads(output.strip().splitlines()[-1])}
        note(f"written: {detail}")
        detail |= shown(Path(scratch) / "many" / "report" / "index.html")
    detail["load"] = round(os.getloadavg()[0], 1)
    finish("report", [detail["seconds"]], [60.0], "s from results to page", AIM, detail)


def make(storage: Path, count: int) -> None:
    """Two untouched backbones and `count` - 2 trials: two backbones, three tasks, two adaptations, no remedy or wise at nine alphas, and as
    many seeds as it takes; each with every result that the miniature has."""
    root = write_sweep(storage, "many", backbones=["mini-s", "mini-l"])
    texts = _results(root)
    remedies = [{"kind": "none"}, *({"kind": "wise", "alpha": step / 10} for step in range(1, 10))]
    cells = list(product(("mini-s", "mini-l"), ("faces", "morphs", "spoofs"), ("full", "lora"), remedies))
    training = {"train_seconds": 10.0, "trainable_parameters": 1000, "data": "d" * 16, "ranks": [1]}
    for place in range(count):
        seed, cell = divmod(max(place - 2, 0), len(cells))
        key, more = f"{place:012x}", {"seed": seed, "training": training, "settings": {"epochs": 5}}
        if place < 2:
            trial = write_trial(root, key, ("mini-s", "mini-l")[place], "none")
        else:
            backbone, task, way, remedy = cells[cell]
            trial = write_trial(root, key, backbone, task, way, remedy=remedy, **more)
        for (suite, dataset), text in texts.items():
            folder = trial / "results" / suite
            folder.mkdir(parents=True, exist_ok=True)
            share = 0.5 + (place * 37 % 400) / 1000
            (folder / f"{dataset}.json").write_text(text.replace("0.123456", f"{share:.6f}"))


def _results(root: Path) -> dict[tuple[str, str], str]:
    """The text of each result file of a trial, with 0.123456 as the value, by (suite, data set)."""
    mould = write_trial(root.parent / "mould", "m", "mini-s", "none")
    ends, value = (0.05, 0.95), 0.123456
    for suite in ("zero_shot", "probe"):
        for name in SETS:
            leaves = {
                f"{name}/{leaf}": value for leaf in (("top1", "mean_per_class") if suite == "zero_shot" else ("top1",))
            }
            protocol = PROTOCOLS[suite].says
            write_result(
                mould, suite, name, leaves, intervals=dict.fromkeys(leaves, ends), protocol=protocol, vision="v" * 16
            )
    for name in ("pairs", "pose", "age"):
        write_result(
            mould, "fr", name, {f"{name}/accuracy": value}, intervals={f"{name}/accuracy": ends}, vision="v" * 16
        )
    rates = {f"templates/tar_at_far_1e-{digits}": value for digits in (1, 2, 3)}
    absent = {f"templates/tar_at_far_1e-{digits}": "too few impostor pairs" for digits in (4, 5)}
    write_result(mould, "fr", "templates", rates, absent=absent)
    for suite, name in (("mad_text", "morphs"), ("pad_text", "spoofs")):
        write_result(mould, suite, name, {f"{part}/eer": value for part in ("warp", "blend", "mean")} if suite == "mad_text" else
                     {f"{part}/hter": value for part in ("indoor", "outdoor", "mean")})  # fmt: skip
    return {(path.parent.name, path.stem): path.read_text() for path in sorted((mould / "results").glob("*/*.json"))}


def written(storage: Path) -> dict[str, Any]:
    """What writing the report took. seconds: by the clock, imports left out; peak_mb: of this process, imports in it."""
    from gelo.analysis.report import write_report

    began, spent = time.perf_counter(), time.process_time()
    folder = write_report(storage, "many").path
    seconds, spent = time.perf_counter() - began, time.process_time() - spent
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = (folder / "index.html").stat().st_size / 1e6
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(spent, 2),
        "peak_mb": round(peak),
        "page_mb": round(size, 2),
    }


def shown(page: Path) -> dict[str, float]:
    """Seconds until Chromium has loaded the page; {} where there is none."""
    place = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if place is None:
        return {}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=place, args=["--no-sandbox", "--disable-gpu"], timeout=600_000)
        tab = browser.new_page(viewport={"width": 1440, "height": 900})
        tab.goto(page.as_uri(), timeout=600_000)
        took = tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd / 1000")
        browser.close()
    return {"opens_seconds": round(took, 2)}


if __name__ == "__main__":
    main()
