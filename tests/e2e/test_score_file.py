"""`gelo evaluate --scores`: a file of scores through the command line, and every example of docs/biometrics.md as it is printed there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Gelo

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = re.findall(r"^    \$ gelo (.*)\n((?:    .*\n|\n(?=    ))+)", (DOCS / "biometrics.md").read_text(), re.M)


def test_the_page_shows_commands() -> None:
    assert len(SHOWN) >= 3
    assert all(command.startswith("evaluate --scores docs/examples/") for command, _ in SHOWN)


@pytest.mark.parametrize(("command", "printed"), SHOWN)
def test_what_the_page_shows_is_what_gelo_prints(gelo: Gelo, tmp_path: Path, command: str, printed: str) -> None:
    shutil.copytree(DOCS / "examples", tmp_path / "docs" / "examples")
    said = gelo(*shlex.split(command))
    assert said.code == 0
    expected = [line.strip() for line in printed.splitlines() if line.strip() not in ("", "...")]
    printed_now = [line.strip() for line in said.text.splitlines()]
    assert expected
    for line in expected:
        assert line in printed_now, f"{line!r} is not printed:\n{said.text}"


def test_json_is_that_of_an_encoder(gelo: Gelo, tmp_path: Path) -> None:
    shutil.copytree(DOCS / "examples", tmp_path / "ex")
    said = gelo("evaluate", "--scores", "ex/spoof_scores.csv", "--protocol", "spoof", "--json")
    (result,) = json.loads(said.out)
    assert result["values"]["pad/ca/hter"] == pytest.approx(0.25)
    assert result["counts"] == {"frames": 32, "videos": 16, "ca_bona_fide": 8, "ca_attacks": 8}
    assert re.fullmatch("[0-9a-f]{64}", result["data"])


def test_a_warning_is_shown_with_its_evidence(gelo: Gelo, tmp_path: Path) -> None:
    rows = [f"{(-1) ** (n % 2) * (1 + n / 40)},{n % 2}" for n in range(40)]  # every impostor above every genuine
    (tmp_path / "s.csv").write_text("\n".join(["score,label", *rows]))
    said = gelo("evaluate", "--scores", "s.csv", "--protocol", "verification")
    assert said.code == 0
    assert "WARNING fr/s: AUC 0.000: impostors score above genuine; higher should mean genuine" in said.text


def test_mistakes_are_answered_at_once(gelo: Gelo, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("score,label,atack\nabc,1,\nnan,2,\n")
    gelo("evaluate", "--scores", "bad.csv", "--protocol", "morph").refused(
        "4 faults", "row 1 (abc)", "row 2 (nan)", "nearest: attack", "row 2 (2)"
    )
    gelo("evaluate", "mini-s", "--scores", "gone.csv", "--protocol", "morf").refused(
        "3 faults", "given with ENCODER", "nearest: morph", "no such file"
    )
    gelo("evaluate", "--scores", "bad.csv", "--suite", "probe").refused("given with --suite", "--protocol: missing")
    gelo("evaluate", "--protocol", "morph").refused("--scores: missing")
    gelo("evaluate").refused("ENCODER: missing", "--scores FILE")
