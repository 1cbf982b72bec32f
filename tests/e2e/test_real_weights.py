"""docs/real-weights.md, command by command, on a file of the official layout with random weights."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "real-weights.md"


def test_the_commands_of_the_page_end_in_a_table(tmp_path: Path) -> None:
    downloads, text = tmp_path / "downloads", PAGE.read_text()
    downloads.mkdir()
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-16-quickgelu", pretrained=None)
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        downloads / "open_clip_model.safetensors",
    )
    del model
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (downloads / "photos" / name).mkdir(parents=True)
        for number in range(3):
            picture = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(picture).save(downloads / "photos" / name / f"{number}.png")
    commands, spec = re.findall(r"(?:^    .+\n)+", text, flags=re.MULTILINE)
    (tmp_path / "real.yaml").write_text(spec)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "120"}
    said = {}
    for line in commands.split("\n"):
        if line.strip():
            command = line.strip().replace("~/downloads", str(downloads))
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert done.returncode == (2 if "doctor" in command else 0), (command, done.stdout + done.stderr)
            said[command.split()[1]] = done.stdout + done.stderr
    assert len(said) == 5
    assert "food101" in said["doctor"] and "ViT-B-16.safetensors" not in said["doctor"]
    assert re.search(r"zero_shot/mine/top1 +│ +\d+\.\d\d", said["evaluate"]), said["evaluate"]
