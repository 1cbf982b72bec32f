"""docs/paper.md, step by step, on files of the official layouts: a full-size ViT-B/16 with random weights, two steps a trial, on CPUs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import open_clip
import pytest
import torch

from tests import forked
from tests.models.layouts import openai_archive
from tests.tasks.prepare import attack_trees, trees
from tests.tasks.prepare.face_trees import face_pairs, jpeg, python2_bin, with_header, write_records

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(1800),
]  # a core takes most of a second for an image

PAGE = Path(__file__).parents[2] / "docs" / "paper.md"
SETS = ("mnist", "stl10", "sst2", "lfw", "ms1mv2", "smdd", "mad22", "oulu_casia_msu", "celeba_spoof")
TOY = (  # few enough images and steps for a CPU; the rest of the preset stays
    "backbones=[ViT-B/16]", "datasets=[mnist,lfw,celeba_spoof]", "resources={cpus: 2}",
    *(f"tasks.faces.{field}" for field in ("epochs=1", "batch=4", "warmup_epochs=0")),
    *(f"tasks.spoofs.{field}" for field in ("epochs=1", "batch=16", "warmup_epochs=0")),
    "tasks.morphs=[{adaptation: {lora: {rank: 2, alpha: 4, dropout: 0.4, targets: [q, v]}}, epochs: 1, batch: 4, warmup_epochs: 0}]",
)  # fmt: skip


def downloads(root: Path) -> None:
    """What a user has: weights, and nine of the sets, each in the folder that the page says."""
    torch.manual_seed(0)
    root.mkdir()
    openai_archive(open_clip.create_model("ViT-B-16-quickgelu", pretrained=None), root / "ViT-B-16.pt")
    for name in ("mnist", "stl10", "sst2"):
        getattr(trees, name)(root / name)
    for name in ("smdd", "mad22", "oulu_casia_msu", "celeba_spoof"):
        getattr(attack_trees, name)(root / name)
    write_records(root / "faces_emore", with_header([[jpeg(4 * who + n, 112) for n in range(4)] for who in range(2)]))
    (root / "faces_emore" / "lfw.bin").write_bytes(python2_bin(*face_pairs(10)))


def commands() -> list[list[str]]:
    """The page's `gelo` lines, loops written out for the sets that are here."""
    found = []
    for block in re.findall(r"(?:^    .+\n)+", PAGE.read_text(), flags=re.MULTILINE):
        text = re.sub(r"for set in ([^;]+);\s*do\s+(.+?);?\s*done", _unrolled, block, flags=re.DOTALL)
        found += [shlex.split(line, comments=True) for line in text.splitlines() if line.strip().startswith("gelo")]
    return found


def _unrolled(loop: re.Match[str]) -> str:
    return "\n".join(loop[2].strip().replace("$set", name) for name in loop[1].split() if name in SETS)


def gelo(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GELO_")}
    return forked.gelo(place, *words, environment=environment | {"COLUMNS": "400"}, limit=1200)


def test_the_study_runs_as_the_page_says(tmp_path: Path) -> None:
    downloads(tmp_path / "downloads")
    (tmp_path / "weights").mkdir()
    (tmp_path / "downloads" / "ViT-B-16.pt").rename(tmp_path / "weights" / "ViT-B-16.pt")
    toy = [word for change in TOY for word in ("--set", change)]
    ran = []
    for _, command, *words in commands():
        if command in ("ui", "import", "evaluate"):  # a server; files of others: tests/sweeps/test_import.py
            continue
        words = [word.replace("~/downloads", str(tmp_path / "downloads")) for word in words]
        words += {"prepare": ["--allow-partial"], "run": toy, "plan": toy}.get(command, [])
        done = gelo(tmp_path, command, *words)
        assert done.returncode == (2 if command == "doctor" else 0), f"{command} {words}\n{done.stdout}{done.stderr}"
        ran.append(command)
    assert ran == ["prepare"] * len(SETS) + ["doctor", "plan", "run", "status", "resume", "report"]
    rows = json.loads(gelo(tmp_path, "status", "paper", "--json").stdout)["trials"]
    assert [row["state"] for row in rows] == ["complete"] * 4, rows
    page = (tmp_path / "out" / "paper" / "report" / "index.html").read_text()
    assert "ViT-B/16 · faces · LoRA" in page and "PARTIAL" in page.upper()
