"""Damaged files of a user's own sets: tables, Hugging Face's Parquet and Arrow, tars, images, pairs.txt, score files. As `fuzz_readers`.

ours: files that ended so; theirs: files tried. What is read is right where every image has the split and the class name, every pair and
every score the value that Python's csv and tarfile, json, pyarrow and Pillow find in the same damaged bytes; where these find nothing,
those of the whole file. Another exception, more than 10 s for one file, memory beyond 2 GB or a wrong value ends the bench.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import resource
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.fuzz_readers import BYTES, SECONDS, at_most, damaged
from benchmarks.line import finish, note
from gelo.models.faults import UserError
from gelo.tasks.data.pixels import UNREADABLE, open_image
from gelo.tasks.prepare.biometric.lfw import lfw
from gelo.tasks.prepare.check import refusals_of
from gelo.tasks.prepare.formats.table import table
from gelo.tasks.prepare.general.folders import folder
from gelo.tasks.prepare.general.webdataset import webdataset
from gelo.tasks.prepare.hub.reader import hub
from gelo.tasks.prepare.layout import Layout
from gelo.tasks.prepare.splits import role_of
from gelo.tasks.prepare.tree import Tree
from gelo.tasks.scorefiles import scorefile
from tests.tasks.prepare.hub_trees import parquet, rows, save_dict
from tests.tasks.prepare.same_pictures import CLASSES, image, put, write_tar

COUNT = 10_000
SPLITS = {"train": 8, "test": 4}
UNKNOWN = "what the independent reader cannot tell"
Found = dict[Any, Any]
"""(split, class name) by an image's bytes; whether two persons are one by a pair's names; score and label by an id."""


@dataclass(frozen=True)
class Case:
    """write: a whole tree; files: those to damage; ours: raises UserError, or gives what it found and whether anything was refused."""

    write: Callable[[Path], None]
    files: tuple[str, ...]
    ours: Callable[[Path], tuple[Found, bool]]
    theirs: Callable[[Path], Found]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--only", choices=CASES, action="append", help="these kinds alone; may be repeated")
    given = parser.parse_args()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    outcomes, slowest = {}, 0.0
    for kind in given.only or CASES:
        outcomes[kind], seconds = tally(kind, COUNT // 100 if given.smoke else COUNT, seed=0)
        slowest = max(slowest, seconds)
        note(f"{kind}: {dict(outcomes[kind])}")
    tried = sum(sum(counts.values()) for counts in outcomes.values())
    detail = {
        "outcomes": {kind: dict(counts) for kind, counts in outcomes.items()},
        "slowest_ms": round(1000 * slowest, 1),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    finish(
        "fuzz_sets", [float(tried)], [float(tried)], "files that ended well", "= 1 (10,000 tried of each kind)", detail
    )


def tally(kind: str, count: int, seed: int) -> tuple[Counter[str], float]:
    """`count` damaged files of one kind: how many were `refused` and `read`, and the slowest in seconds. Raises on any other end."""
    case = CASES[kind]
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "set"
        case.write(place)
        whole = case.theirs(place)
        assert case.ours(place) == (whole, False), "the whole set is read right"
        for number in range(count):
            rng = np.random.default_rng((seed, number))
            path = place / case.files[number % len(case.files)]
            content = path.read_bytes()
            path.write_bytes(damaged(content, rng))
            started = time.perf_counter()
            try:
                with at_most(SECONDS):
                    outcomes[outcome(case, place, whole)] += 1
            except BaseException as error:
                error.add_note(f"{kind} seed {seed} number {number}")
                raise
            finally:
                path.write_bytes(content)
            slowest = max(slowest, time.perf_counter() - started)
    return outcomes, slowest


def outcome(case: Case, place: Path, whole: Found) -> str:
    """`refused`: a fault, whatever else was read. `read`: everything, as the others have it."""
    try:
        found, refused = case.ours(place)
    except UserError as error:
        assert all(fault.found and fault.expected for fault in error.faults)
        return "refused"
    there = case.theirs(place)
    known = {key: there[key] if key in there else _before(key, whole | there) for key in found}
    wrong = {key: value for key, value in found.items() if known[key] not in (value, UNKNOWN)}
    assert not wrong, f"other values than the independent reader's: {list(wrong.items())[:3]}"
    assert refused or UNKNOWN in there.values() or len(there) <= len(found), (
        f"{len(found)} of {len(there)}, and no fault"
    )
    return "refused" if refused else "read"


def _before(key: Any, whole: Found) -> Any:
    """What the whole file says of an entry that the independent reader cannot reach: of an image, of the one that it was before."""
    if key in whole or not isinstance(key, bytes):
        return whole.get(key)
    return whole[max(whole, key=lambda one: SequenceMatcher(None, one, key, autojunk=False).quick_ratio())]


def _by(reader: Callable[[Tree], Layout]) -> Callable[[Path], tuple[Found, bool]]:
    """Images that decode, with their split and class."""

    def read(place: Path) -> tuple[Found, bool]:
        tree = Tree(place)
        layout = reader(tree)
        faults = [*tree.faults, *refusals_of(layout, None)]
        assert all(fault.found and fault.expected for fault in faults)
        found: Found = {}
        refused = bool(faults)
        if layout.unnamed:  # numbers that nobody gave a name
            assert refused
            return found, refused
        for split, items in layout.splits.items():
            for item in items:
                try:
                    data = item.load()
                    open_image(data)
                except UNREADABLE as error:
                    assert str(error), "a refusal says why"
                    refused = True
                else:
                    found[data] = (split, layout.classes[item.label])
        return found, refused

    return read


def _samples(split: str) -> list[tuple[bytes, str]]:
    first = list(SPLITS).index(split) * 100
    return [(image(first + n), CLASSES[n % len(CLASSES)]) for n in range(SPLITS[split])]


def _decodes(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).load()
    except Exception:
        return False
    return True


def _spelt(name: str) -> str:
    return name.replace("_", " ").replace("/", " ").strip()


def _listed(place: Path, listed: Iterable[Mapping[str, Any]]) -> Found:
    """Images by their paths; those that no path leads to, by the names of their files, as where folders are left out."""
    found: Found = {}
    rows = [row for row in listed if isinstance(row, Mapping)]
    for top in (place, None):
        for row in rows:
            with suppress(Exception):  # what is no row with a path
                path, label, split = (str(row[name]).strip() for name in ("path", "label", "split"))
                data = (top / path if top else place / "all" / Path(path).name).read_bytes()
                if label and (role := role_of(split)) and _decodes(data):
                    found.setdefault(data, (role, _spelt(label)))
    return found


_LISTED = [
    {"path": f"all/{split}{n}.png", "label": name, "split": split}
    for split in SPLITS
    for n, (_, name) in enumerate(_samples(split))
]


def _write_images(place: Path) -> list[dict[str, str]]:
    for split in SPLITS:
        for n, (data, _) in enumerate(_samples(split)):
            put(place / "all" / f"{split}{n}.png", data)
    return _LISTED


def _write_csv(place: Path) -> None:
    listed = _write_images(place)
    put(place / "l.csv", "\n".join(["path,label,split", *(",".join(row.values()) for row in listed)]))


def _write_jsonl(place: Path) -> None:
    put(place / "l.jsonl", "\n".join(map(json.dumps, _write_images(place))))


def _write_parquet(place: Path) -> None:
    pq.write_table(pa.Table.from_pylist(_write_images(place)), place / "l.parquet")


def _read_jsonl(place: Path) -> Found:
    listed = []
    for line in (place / "l.jsonl").read_bytes().decode(errors="replace").splitlines():
        with suppress(ValueError):
            listed.append(json.loads(line))
    return _listed(place, listed)


def _read_csv(place: Path) -> Found:
    """Columns by their names in any case, or where one of them is damaged by their places."""
    text = re.sub("\r\n?", "\n", (place / "l.csv").read_bytes().decode(errors="replace"))
    header, *others = list(csv.reader(io.StringIO(text))) or [[]]
    names = [name.strip().lower() for name in header]
    if {"path", "label", "split"} <= set(names):
        return _listed(place, [dict(zip(names, row, strict=False)) for row in others])
    return _listed(place, [{"path": row[0], "label": row[1], "split": row[-1]} for row in others if len(row) > 2])


def _read_parquet(place: Path) -> Found:
    """Each column by itself, as it is damaged by itself: one that cannot be read has what was written."""
    columns = {}
    for name in ("path", "label", "split"):
        columns[name] = [row[name] for row in _LISTED]
        with suppress(Exception):
            columns[name] = pq.read_table(place / "l.parquet", columns=[name])[name].to_pylist()
    return _listed(place, [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=False)])


def _write_hub(place: Path) -> None:
    for split in SPLITS:
        parquet(place / "data" / f"{split}-00000-of-00001.parquet", rows(_samples(split)))


def _write_saved(place: Path) -> None:
    save_dict(place, {split: rows(_samples(split)) for split in SPLITS})


def _cells(read: Callable[[str, str], pa.Table]) -> Found:
    """Labels by themselves, as a column is damaged by itself: those that cannot be read are those that were written. Which images they
    are of nobody can tell where pyarrow fails at another part of the image's column."""
    found: Found = {}
    for split in SPLITS:
        labels = [CLASSES.index(name) for _, name in _samples(split)]
        with suppress(Exception):
            labels = read(split, "label")["label"].to_pylist()
        try:
            images = [cell["bytes"] for cell in read(split, "image")["image"].to_pylist()]
        except Exception:
            found |= {data: UNKNOWN for data, _ in _samples(split)}
            continue
        for data, label in zip(images, labels, strict=False):
            with suppress(Exception):
                if _decodes(data):
                    found[data] = (split, CLASSES[label])
    return found


def _read_hub(place: Path) -> Found:
    return _cells(lambda split, name: pq.read_table(place / "data" / f"{split}-00000-of-00001.parquet", columns=[name]))


def _read_saved(place: Path) -> Found:
    def read(split: str, name: str) -> pa.Table:
        found = pa.ipc.open_stream((place / split / "data-00000-of-00001.arrow").read_bytes()).read_all()
        found.validate(full=True)  # else pyarrow follows offsets to anywhere
        return found

    return _cells(read)


def _write_tars(place: Path) -> None:
    for split in SPLITS:
        members = [
            (f"{n:03d}{end}", content)
            for n, (data, name) in enumerate(_samples(split))
            for end, content in ((".png", data), (".cls", b"%d" % CLASSES.index(name)))
        ]
        write_tar(place / split / "0.tar", members)
    put(place / "classnames.txt", "\n".join(CLASSES))


def _read_tars(place: Path) -> Found:
    found: Found = {}
    text = re.sub("\r\n?", "\n", (place / "classnames.txt").read_bytes().decode(errors="replace"))
    names = list(map(_spelt, text.split("\n")))
    for split in SPLITS:
        parts: dict[str, dict[str, bytes]] = {}
        with suppress(Exception), tarfile.open(place / split / "0.tar") as tar:
            for member in tar:
                key, _, suffix = member.name.partition(".")
                parts.setdefault(key, {})[suffix.lower()] = tar.extractfile(member).read()  # type: ignore[union-attr]
        for sample in parts.values():
            with suppress(Exception):
                if _decodes(sample["png"]):
                    found[sample["png"]] = (split, names[int(sample["cls"])])
    return found


_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM")


_PICTURES = tuple(f"test/{CLASSES[n % 4]}/{kind}.{kind.lower()}" for n, kind in enumerate(_FORMATS))


def _write_folders(place: Path) -> None:
    for n, kind in enumerate(_FORMATS):
        stream = io.BytesIO()
        Image.open(io.BytesIO(image(n))).resize((24, 20)).save(stream, kind)
        put(place / _PICTURES[n], stream.getvalue())


def _read_folders(place: Path) -> Found:
    found = {path.read_bytes(): ("test", path.parent.name) for path in place.glob("test/*/*")}
    return {data: value for data, value in found.items() if _decodes(data)}


_PERSONS = ("Abel_Pacheco", "Al_Gore", "Cher", "Di_Ana")


def _write_lfw(place: Path) -> None:
    for number, name in enumerate(_PERSONS):
        for n in (1, 2, 3):
            put(place / name / f"{name}_{n:04d}.png", image(10 * number + n))
    lines = ["3\t2"]
    for fold in range(3):
        one, two = _PERSONS[fold], _PERSONS[fold + 1]
        lines += [f"{one}\t1\t{2 + n}" for n in range(2)] + [f"{one}\t{n + 1}\t{two}\t{n + 1}" for n in range(2)]
    put(place / "pairs.txt", "\n".join(lines))


def _our_pairs(place: Path) -> tuple[Found, bool]:
    tree = Tree(place)
    layout = lfw(tree)
    pairs = layout.tables["pairs"].to_pylist() if "pairs" in layout.tables else []
    return {(pair["id_1"], pair["id_2"]): pair["same"] for pair in pairs}, bool(tree.faults)


def _their_pairs(place: Path) -> Found:
    """As insightface and scikit-learn read it: three words or four a line."""
    found: Found = {}
    for line in (place / "pairs.txt").read_text(errors="replace").splitlines()[1:]:
        words = line.split("\t")
        with suppress(ValueError, IndexError):
            one = (words[0], int(words[1]))
            two = (words[0], int(words[2])) if len(words) == 3 else (words[2], int(words[3]))
            ids = tuple(f"{name}/{name}_{number:04d}.png" for name, number in (one, two))
            found[ids] = len(words) == 3
    return {ids: same for ids, same in found.items() if all((place / each).is_file() for each in ids)}


def _write_scores(place: Path) -> None:
    rng = np.random.default_rng(0)
    put(place / "s.csv", "\n".join(["id,score,label", *(f"row{n},{rng.random():.5f},{n % 2}" for n in range(40))]))


def _our_scores(place: Path) -> tuple[Found, bool]:
    file = scorefile.read(place / "s.csv", "verification")
    ids = file.given.get("id", file.rows)
    return {
        str(i): (float(score), int(label)) for i, score, label in zip(ids, file.scores, file.labels, strict=True)
    }, False


def _their_scores(place: Path) -> Found:
    found: Found = {}
    text = re.sub("\r\n?", "\n", (place / "s.csv").read_bytes().decode(errors="replace"))
    for n, row in enumerate(csv.DictReader(io.StringIO(text)), start=1):
        with suppress(Exception):
            found[row["id"].strip() if "id" in row else str(n)] = (float(row["score"]), int(float(row["label"])))
    return found


_HUB, _SAVED = (
    tuple(f"{form[0]}{split}{form[1]}" for split in SPLITS)
    for form in (("data/", "-00000-of-00001.parquet"), ("", "/data-00000-of-00001.arrow"))
)
CASES: Mapping[str, Case] = {
    "csv": Case(_write_csv, ("l.csv",), _by(table), _read_csv),
    "jsonl": Case(_write_jsonl, ("l.jsonl",), _by(table), _read_jsonl),
    "table in parquet": Case(_write_parquet, ("l.parquet",), _by(table), _read_parquet),
    "hub parquet": Case(_write_hub, _HUB, _by(hub), _read_hub),
    "save_to_disk": Case(_write_saved, _SAVED, _by(hub), _read_saved),
    "webdataset": Case(_write_tars, ("train/0.tar", "test/0.tar", "classnames.txt"), _by(webdataset), _read_tars),
    "folder": Case(_write_folders, _PICTURES, _by(folder), _read_folders),
    "lfw": Case(_write_lfw, ("pairs.txt",), _our_pairs, _their_pairs),
    "scores": Case(_write_scores, ("s.csv",), _our_scores, _their_scores),
}


if __name__ == "__main__":
    main()
