"""Zero-shot of an unchanged data set and encoder a second time, against the first time (mini-s, 3,000 JPEGs of 500 x 375).

Timed: what follows the start of a process that `gelo evaluate` spends on the images, that is finding what the cache lacks, decoding,
encoding and scoring, the intervals included. Loading the encoder is the same both times; `whole_call` in the details has it in. Both must
give the same result.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from upath import UPath

from benchmarks.line import finish, note
from benchmarks.streaming import data_set, fresh, timed
from gelo.models.backbones.zoo import load_backbone
from gelo.sweeps.spec.settings import Settings
from gelo.sweeps.stages.embed import embed_jobs, jobs_of, subject_of
from gelo.sweeps.stages.score import score_jobs
from gelo.sweeps.stages.single import evaluate_one
from gelo.sweeps.state.folder import TrialFolder
from gelo.sweeps.terminal.progress import Display
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.ledger.trial import Trial
from gelo.tasks.results import Result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    count, rounds = (256, 1) if parser.parse_args().smoke else (3_000, 3)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        dataset = data_set(place, count, loose=False)[0]
        caches = fresh(place)
        first, second = [], []
        for number in range(rounds):
            cache = next(caches)
            seconds, before = timed(zero_shot, dataset, cache, place / f"first-{number}")
            first.append(seconds)
            seconds, after = timed(zero_shot, dataset, cache, place / f"second-{number}")
            second.append(seconds)
            assert before == after, "the cache must not change a result"
            note(f"round {number + 1} of {rounds}: {first[-1]:.2f} s, then {second[-1]:.3f} s")
        settings = Settings(data=str(dataset.root.parent), cache=str(next(caches)))
        quiet = Display(Console(quiet=True))
        calls = [
            timed(evaluate_one, "mini-s", ("zero_shot",), None, None, settings, quiet, ("jpegs",))[0] for _ in range(2)
        ]
        detail = {
            "images": count,
            "times_as_fast": round(sorted(first)[rounds // 2] / sorted(second)[rounds // 2], 1),
            "whole_call": {"first": round(calls[0], 2), "second": round(calls[1], 2)},
        }
        finish("second_time", second, first, "seconds", "ratio <= 0.02 (50 times as fast)", detail)


BASE = load_backbone("mini-s")


def zero_shot(dataset: Dataset, cache: Path, results: Path) -> Result | None:
    """The zero-shot result of mini-s, from what the cache has and what it lacks."""
    subject = subject_of(
        Trial(backbone="mini-s", task="none", collection="paper"), TrialFolder(UPath(results)), BASE, None
    )
    jobs = jobs_of([subject], {dataset.name: dataset}, [(dataset.name, "zero_shot")])
    embed_jobs(jobs, {"mini-s": BASE}, cache, "local")
    score_jobs(jobs, cache, "local")
    return subject.folder.result("zero_shot", dataset.name)


if __name__ == "__main__":
    main()
