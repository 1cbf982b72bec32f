"""docs/models-in-and-out.md, command by command: a sweep's trial out, a published checkpoint in, and both beside each other in a sweep."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import open_clip
import pytest
import yaml
from safetensors.torch import load_file

from gelo.models.backbones.registry import MINI
from gelo.sweeps.spec.sweep import parse_spec
from tests.e2e.conftest import Gelo
from tests.models.paper_files import header, published, save

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "models-in-and-out.md"


def test_the_commands_of_the_page(gelo: Gelo, tmp_path: Path) -> None:
    """The sweep without what it trains, which others test."""
    out, both, into, spec = re.findall(r"(?:^    .+\n)+", PAGE.read_text(), flags=re.MULTILINE)
    trials = parse_spec({"name": "both", "backbones": ["mini-s"], **yaml.safe_load(both)}, "the page").trials()
    assert len([trial for trial in trials if trial.adaptation.both]) == 2
    model = _mini()
    save(header(128), tmp_path / "40_header.pth")
    for command in _lines(into):
        if "import" in command:
            save(published(model, 16 if "froundation" in command else 2), tmp_path / "40_backbone.pth")
        said = _done(gelo, command)
    (scored,) = re.findall(r"zero_shot/flags/top1 +│ +(\d+\.\d\d)", said)
    sweep = yaml.safe_load(spec) | {"datasets": ["flags"], "evaluate": ["zero_shot"]}
    del sweep["tasks"]["morphs"]
    (tmp_path / "beside.yaml").write_text(yaml.safe_dump(sweep))
    assert "report: " in _done(gelo, "gelo run beside.yaml")
    rows = list(csv.DictReader((tmp_path / "out" / "beside" / "report" / "zero_shot.csv").open()))
    assert [row["adaptation"] for row in rows] == ["none", "imported"]
    assert rows[1]["flags"] == scored, "a sweep and evaluate say the same"
    for command in _lines(out):
        _done(gelo, command.replace("small/KEY", f"beside/{rows[1]['trial']}"))
    page = (tmp_path / "faces-lora" / "README.md").read_text()
    kept = f"{float(scored) / float(rows[0]['flags']):.3f}"
    assert f"| zero_shot/mean_1/top1 | {rows[0]['flags']} | {scored} |" in page and f"GELO {kept}" in page
    base = load_file(tmp_path / "base" / "open_clip_model.safetensors")
    assert base.keys() == model.state_dict().keys()


def _mini() -> open_clip.CLIP:
    """mini-s by open_clip alone."""
    config = json.loads((MINI / "mini-s.json").read_text())
    model = open_clip.CLIP(config["embed_dim"], vision_cfg=config["vision_cfg"], text_cfg=config["text_cfg"])
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(MINI / "mini-s.safetensors").items()})
    return model.eval()


def _lines(block: str) -> list[str]:
    return [line.strip() for line in block.splitlines() if line.strip()]


def _done(gelo: Gelo, command: str) -> str:
    said = gelo(*command.split()[1:])
    assert said.code == 0, (command, said.text)
    return said.out
