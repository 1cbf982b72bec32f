"""Every command of docs/your-own-data.md and docs/data.md, run in the order and as it stands there, on folders that the pages speak of."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import Gelo, Said
from tests.tasks.prepare.hub_trees import rows
from tests.tasks.prepare.plain import COLOURS, paint
from tests.tasks.prepare.same_pictures import write_tar

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
CLASSES = ("red", "blue")


def commands(page: str) -> list[list[str]]:
    """The lines of the page's shell blocks, as a shell would hand them on."""
    blocks = re.findall(r"^```sh\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
    return [words for block in blocks for line in block.splitlines() if (words := shlex.split(line, comments=True))]


def yaml_of(page: str) -> str:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S)
    return block


def colours(root: Path, splits: tuple[str, ...], suffix: str = "jpg") -> list[tuple[str, str, Path]]:
    """`<split>/<class>/<n>.jpg`; (split, class, path) of each."""
    made = []
    for place, split in enumerate(splits):
        for name in CLASSES:
            for n in range(4):
                path = root / split / name / f"{n}.{suffix}"
                paint(path, name, 6 * (4 * place + n))
                made.append((split, name, path))
    return made


def own(root: Path) -> None:
    """The folders of docs/your-own-data.md."""
    colours(root / "photos", ("train", "test"))
    (root / "prompts.yaml").write_text(yaml_of("your-own-data.md"))
    lines = ["path,label,split"]
    for split, name, path in colours(root / "listed" / "images", ("train", "test")):
        lines.append(f"{path.relative_to(root / 'listed')},{name},{split}")
    (root / "listed" / "labels.csv").write_text("\n".join(lines) + "\n")
    samples = [
        (split, name, path.read_bytes()) for split, name, path in colours(root / "drawn", ("train", "test"), "png")
    ]
    (root / "hub" / "data").mkdir(parents=True)
    for split in ("train", "test"):
        ours = [(data, name) for part, name, data in samples if part == split]
        table: pa.Table = rows(ours, CLASSES)
        pq.write_table(table, root / "hub" / "data" / f"{split}-00000-of-00001.parquet")
        members = [
            (f"{n:04d}{end}", content)
            for n, (data, name) in enumerate(ours)
            for end, content in ((".png", data), (".cls", str(CLASSES.index(name)).encode()))
        ]
        write_tar(root / "shards" / split / "0.tar", members)
    (root / "shards" / "classnames.txt").write_text("\n".join(CLASSES) + "\n")
    colours(root / "odd", ("train", "holdback", "extra"))


def imagenet(root: Path) -> None:
    """Three of ImageNet's thousand classes."""
    for number, synset in enumerate(("n01440764", "n01443537", "n15075141")):
        for n in range(2):
            paint(
                root / "downloads" / "val" / synset / f"ILSVRC2012_val_{10 * number + n:08d}.png",
                list(COLOURS)[number],
                n,
            )


@pytest.mark.parametrize(("page", "build", "least"), [("your-own-data.md", own, 10), ("data.md", imagenet, 6)])
def test_every_command_of_the_page_does_what_it_says(
    gelo: Gelo, tmp_path: Path, page: str, build: object, least: int
) -> None:
    build(tmp_path)  # type: ignore[operator]
    said: dict[str, Said] = {}
    for words in commands(page):
        assert words[0] == "gelo", words
        said[shlex.join(words[1:])] = done = gelo(*words[1:])
        assert done.code == 0, f"{shlex.join(words)}\n{done.text}"
    assert len(said) >= least
    if page == "data.md":
        assert "of 1,000 classes" in said["show imagenet"].text and "PARTIAL" in said["show imagenet"].text
        return
    assert (tmp_path / "out/data/mine/preview.html").is_file()
    assert "8 test, 8 train, 2 classes" in said["prepare mine --from photos --reader folder"].text
    assert "nothing was written" in said["prepare mine --from photos --reader folder --dry-run"].text
    assert "0: a photo of a navy." in gelo("show", "worded").text
    three = gelo(
        "evaluate",
        "mini-s",
        "--dataset",
        "listed",
        "--dataset",
        "hub",
        "--dataset",
        "shards",
        "--suite",
        "zero_shot",
        "--json",
    )
    values = {result["dataset"]: result["values"] for result in json.loads(three.out)}
    top1 = [values[name][f"zero_shot/{name}/top1"] for name in ("hub", "shards")]
    assert top1 == [1.0, 1.0], "mini-s knows red from blue"
    assert values["listed"]["zero_shot/listed/top1"] == 1.0
