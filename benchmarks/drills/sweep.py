"""The miniature sweep that drills break: run, broken into, resumed until it ends, and compared with one that was left alone."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

from benchmarks.drills.kept import differences, files_of, values_of
from benchmarks.drills.world import Said, World
from benchmarks.line import note

SPEC = """
name: {name}
backbones: [mini-s]
tasks:
  faces: {{adaptation: lora, epochs: 2, remedy: [none, {{wise: {{alpha: 0.5}}}}, {{wise: {{alpha: 0.3}}}}]}}
  morphs: {{adaptation: full, epochs: 3}}
datasets: [shapes, digits, shapes_shifted, pairs, morphs]
resources: {{workers: {workers}, retries: 1}}
"""
STAGES = ("decode", "pack", "train", "finish", "embed", "score")  # in the order in which they are told
LIMIT, SILENT, TRIES = 900.0, 60.0, 6  # seconds a command may take, seconds without a line, commands after the first


def run(here: World, name: str, workers: int = 1, **environment: str) -> Said:
    """`gelo run` of a sweep of that name, on the world's servers, with a cache of its own: none of its stages is spared."""
    shutil.rmtree(here.environment["GELO_CACHE"], ignore_errors=True)
    here.environment["GELO_CACHE"] = str(here.folder / "caches" / name)
    (here.folder / f"{name}.yaml").write_text(SPEC.format(name=name, workers=workers))
    places = ("--storage", here.storage, "--tracking", here.tracking, "--address", here.cluster.address)
    return Said(here, "run", f"{name}.yaml", *places, **environment)


def resumed(here: World, name: str) -> Said:
    return Said(here, "resume", name, "--storage", here.storage, "--address", here.cluster.address)


def told(own: Said, stage: str) -> bool:
    """Whether a stage was told."""
    return any(re.search(rf"\bs  {stage}\b", line) for _, line in own.lines)


def alone(here: World, workers: int = 1) -> tuple[dict[str, str], list[tuple[Any, ...]]]:
    """(files, values) of a sweep that nobody disturbs."""
    name = f"alone-{workers}"
    first = run(here, name, workers)
    code = first.wait(2 * LIMIT)
    assert code == 0, first.text
    whole, seconds = (files_of(here.storage, name), values_of(here, name)), first.ended - first.began
    assert len(whole[0]) > 20 and len(whole[1]) > 50
    note(f"left alone with {workers} ranks: {seconds:.0f} s, {len(whole[0])} files, {len(whole[1])} values")
    return whole


def ended(said: list[Said], limit: float = LIMIT) -> tuple[int, list[str]]:
    """The exit code of the last of these commands, -1 where it hung, and what is wrong with it then."""
    try:
        return said[-1].wait(limit), []
    except subprocess.TimeoutExpired:
        return -1, [f"hung: {said[-1].lines[-1:]}"]


def faults_of(said: list[Said]) -> list[str]:
    """Tracebacks, and a minute without a line."""
    found = [
        "traceback: " + each.text[each.text.index("Traceback") :][:300] for each in said if "Traceback" in each.text
    ]
    silence, line = max(each.silence() for each in said)
    return [*found, f"silent: {silence:.0f} s after {line!r}"] if silence > SILENT else found


def to_the_end(here: World, name: str, said: list[Said], whole: Any, limit: float = LIMIT) -> dict[str, Any]:
    """Wait for the last of `said`, resume until the sweep is whole, compare it with `whole`."""
    codes: list[int] = []
    faults: list[str] = []
    while True:
        code, wrong = ended(said, limit)
        codes, faults = [*codes, code], faults + wrong
        if code == 0 or len(codes) > TRIES:
            break
        said.append(resumed(here, name))
    faults += faults_of(said)
    if codes[-1] == 0:
        faults += differences(here, here.storage, name, whole)
    seconds = sum(each.ended - each.began for each in said)
    silence, _ = max(each.silence() for each in said)
    return {
        "name": name, "codes": codes, "ended": codes[-1] == 0, "seconds": round(seconds, 1), "silence": round(silence, 1), "faults": faults,
    }  # fmt: skip
