"""Pages that are made from the code are those of the code, and every link of README and docs leads somewhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from docs.sweeps import PAGE, page
from gelo.sweeps.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_page_of_keys_is_that_of_the_schema() -> None:
    assert PAGE.read_text() == page(), "python -m docs.sweeps writes it again"


def _anchors(text: str) -> set[str]:
    """GitHub's: lower case, no signs, blanks to dashes."""
    heads = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        place = path if not file else path.parent / file
        assert place.exists(), f"{path.name}: {target}"
        if anchor:
            assert anchor in _anchors(place.read_text()), f"{path.name}: {target}"
    for file in re.findall(r"`((?:docs|tests|benchmarks|sweeps|analysis|tasks|models)/[\w./-]+\.\w+)`", text):
        assert (ROOT / file).exists(), f"{path.name}: {file}"


def _examples() -> list[tuple[str, str]]:
    group = typer.main.get_command(app)
    return [
        (name, example)
        for name, command in group.commands.items()  # type: ignore[attr-defined]
        for block in re.findall(r"Example: (.*)", command.help or "", flags=re.DOTALL)
        for example in re.findall(r"`(gelo [^`]+)`", block)
    ]


def test_every_command_has_an_example() -> None:
    group = typer.main.get_command(app)
    assert {name for name, _ in _examples()} == set(group.commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("name", "example"), _examples())
def test_examples_of_help_are_taken_by_the_command_line(name: str, example: str) -> None:
    _, command, *arguments = shlex.split(example)
    assert command == name
    group = typer.main.get_command(app)
    group.commands[name].make_context(name, arguments)  # type: ignore[attr-defined] # an unknown option is an error


def _shown() -> list[tuple[str, str]]:
    """(page, command) of every gelo command that README and docs show."""
    found = []
    for path in PAGES:
        for line in path.read_text().splitlines():
            match = re.match(r"    (?:\$ )?(?:\.venv/bin/)?(gelo [^#|>&]+)", line)
            if match:
                found.append((path.name, match[1].strip()))
            if re.match(r"\d+\. ", line):  # a numbered list of commands
                found += [(path.name, command) for command in re.findall(r"`(gelo [^`]+)`", line)]
    return found


@pytest.mark.parametrize(("page_name", "line"), _shown())
def test_commands_of_the_pages_are_taken_by_the_command_line(page_name: str, line: str) -> None:
    _, name, *arguments = shlex.split(line.rstrip("\\"))
    group = typer.main.get_command(app)
    assert name in group.commands, f"{page_name}: {line}"  # type: ignore[attr-defined]
    group.commands[name].make_context(name, arguments)  # type: ignore[attr-defined]


# Of every shell block of the pages: the test that runs it, command by command, or why none can.
_OFFICIAL = "the official files are a user's own; each reader is tested on trees of their layout in tests/tasks/prepare"
BLOCKS = {
    "answers.md": dict.fromkeys(
        ("$ gelo recommend mitigation --keep 0.95", "$ gelo compare mitigation/"),
        "needs a finished `mitigation`; the same on a small sweep: tests/sweeps/test_answers.py",
    ),
    "README.md": {
        "make demo": "ten minutes, by hand before every release: docs/demo.md; its trials are those of tests/e2e/test_interruptions.py",
        ".venv/bin/gelo run demo-remedies": "tests/e2e/test_interruptions.py: all but the first line, which takes ten minutes",
    },
    "biometrics.md": {
        "gelo prepare lfw": _OFFICIAL,
        "$ gelo evaluate --scores docs/examples/morph_scores.csv": "tests/e2e/test_score_file.py",
        "$ gelo evaluate --scores docs/examples/spoof_scores.csv": "tests/e2e/test_score_file.py",
        "$ gelo evaluate --scores docs/examples/pair_distances.csv": "tests/e2e/test_score_file.py",
    },
    "mitigation.md": {
        "gelo run mitigation --storage out/mitigation": "over an hour; its tables: tests/test_mitigation.py",
        "gelo run task_complexity": "half an hour; its table: tests/test_mitigation.py",
        "gelo run rates": "half an hour; its table: tests/test_mitigation.py",
        "gelo run lora_rank": "half an hour; its table: tests/test_mitigation.py",
        "python -m benchmarks.remedies": "ten minutes; .ci/run makes it at toy size",
    },
    "gallery.md": {"python -m docs.gallery": "tests/test_gallery.py, on a sweep of its own"},
    "cluster.md": {
        "$ gelo plan paper --memory 80": "tests/sweeps/test_plan.py",
        "gelo run SWEEP --address auto": "needs S3; the same on a cluster of two nodes: tests/e2e/test_clusters.py",
        "gelo run SWEEP --set resources.gpus=4": "needs four GPUs; the same on CPUs: tests/e2e/test_two_ranks.py",
        "pip install 'ray[default]==": "needs an account of AWS; the cluster's own command: tests/e2e/test_clusters.py",
        "aws iam put-role-policy": "needs an account of AWS",
        "gelo doctor my.yaml": "tests/e2e/test_submit.py, with a folder in place of S3",
        "pip install -c constraints.txt mlflow": "tests/sweeps/test_postgres.py: all but the first line",
        "kubectl apply": "needs a cluster of Kubernetes",
    },
    "data.md": {
        "gelo prepare --list": "tests/e2e/test_docs_data.py",
        "gelo cache": "tests/e2e/test_docs_data.py",
    },
    "miniature.md": {
        "python -m gelo.tasks.mini.pretrain": "80 minutes, by hand; its parts: tests/tasks/test_mini_continued.py",
        "python -m docs.faithful": "80 minutes, by hand; its parts: tests/test_faithful.py, tests/test_order.py",
    },
    "mlflow.md": {"gelo ui demo": "tests/e2e/test_mlflow_ui.py, on another sweep"},
    "models-in-and-out.md": {
        "gelo export small/KEY": "tests/e2e/test_models_out_in.py",
        "gelo import 40_backbone.pth": "tests/e2e/test_models_out_in.py",
    },
    "paper.md": dict.fromkeys(
        ("mkdir -p weights", "gelo doctor", "gelo run", "gelo status", "gelo report", "gelo import"),
        "tests/e2e/test_paper.py",
    ),
    "protocols.md": {"gelo results demo --to numbers.csv": "tests/sweeps/test_results_command.py"},
    "real-weights.md": {"mkdir -p weights": "tests/e2e/test_real_weights.py"},
    "searches.md": {"gelo resume mine --finish": "tests/e2e/test_search.py"},
    "your-own-data.md": {
        "gelo prepare mine --from photos --reader folder\n": "tests/e2e/test_docs_data.py",
        "gelo prepare mine --from photos --reader folder --dry-run": "tests/e2e/test_docs_data.py",
        "gelo prepare listed": "tests/e2e/test_docs_data.py",
        "gelo prepare odd": "tests/e2e/test_docs_data.py",
        "gelo prepare worded": "tests/e2e/test_docs_data.py",
    },
}


def _blocks(text: str) -> list[str]:
    """Fenced blocks of shell, and indented ones that begin with a command."""
    fenced = re.findall(r"^```(?:sh|bash|shell|console)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"(?:^ {4}.*\S.*\n)+", plain, flags=re.MULTILINE)
    first = r" {4}(\$ |make |mkdir |\.venv/bin/|gelo |python |pip |git |cd |export )"
    return [*fenced, *(re.sub(r"^ {4}", "", block, flags=re.M) for block in indented if re.match(first, block))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_shell_block_is_run_or_says_why_not(path: Path) -> None:
    told, found = dict(BLOCKS.get(path.name, {})), _blocks(path.read_text())
    for block in found:
        (start,) = [start for start in told if block.startswith(start)] or [None]
        assert start is not None, f"{path.name}: no test runs, and nothing excuses:\n{block}"
        how = told.pop(start)
        for test in re.findall(r"tests/[\w/]+\.py", how):
            assert (ROOT / test).is_file(), f"{path.name}: {test}"
    assert not told, f"{path.name} shows no more: {', '.join(told)}"
