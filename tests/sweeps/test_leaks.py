"""Images that were learnt from and are scored: named with every result that they touch, and with no other."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from upath import UPath

from gelo.models.adapt import Full
from gelo.models.backbones.zoo import load_backbone
from gelo.models.heads import Binary
from gelo.models.remedies import Replay, Stack, Wise
from gelo.sweeps.stages.embed import Subject, jobs_of, subject_of
from gelo.sweeps.stages.leaks import leak_notes, leaks_told
from gelo.sweeps.state.folder import TrialFolder
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.records import Record
from gelo.tasks.data.understood import Understood
from gelo.tasks.data.write import write_dataset
from gelo.tasks.ledger.trial import Training, Trial
from gelo.tasks.protocols import protocol_of
from gelo.tasks.results import LEAK, NO_LEAK, UNCHECKED, Result


def picture(number: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def made(data: Path, name: str, **splits: Sequence[tuple[int, int]]) -> Dataset:
    """Splits as (picture, label) rows."""
    records = {
        split: [Record(f"{split}/{row}", picture(number), label) for row, (number, label) in enumerate(rows)]
        for split, rows in splits.items()
    }
    return write_dataset(
        data / name, name=name, version="1", scale="full", classes=("a", "b"), splits=records, source="a test", licence="none",
        understood=lambda: Understood(reader="folder", root="/somewhere"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    place = TrialFolder(UPath(tmp_path_factory.mktemp("trial")))
    return subject_of(
        Trial(backbone="mini-s", task="none", collection="miniature"), place, load_backbone("mini-s"), None
    )


def trained(untouched: Subject, learnt: Dataset | str) -> Subject:
    """The same encoder, said to have learnt from a data set."""
    name, print_ = (learnt, "0" * 64) if isinstance(learnt, str) else (learnt.name, learnt.fingerprint)
    training = Training.model_validate({
        "data": name, "epochs": 1, "batch": 2, "lr_backbone": 1e-4, "lr_head": 1e-2, "weight_decay": 0.05, "clip": 5.0,
        "schedule": "constant", "warmup_epochs": 0, "sampler": "shuffled", "augment": "flip", "preprocess": "backbone",
    })  # fmt: skip
    trial = Trial(
        backbone="mini-s", task="morphs", collection="miniature", adaptation=Full(), head=Binary(), training=training
    )
    return replace(untouched, trial=trial, trained_on={name: print_})


def notes(subject: Subject, dataset: Dataset, protocol: str) -> dict[str, str]:
    (job,) = jobs_of([subject], {dataset.name: dataset}, [(dataset.name, protocol)])
    return leak_notes(job)


def test_train_and_test_share_images_and_the_probe_alone_learns_from_them(untouched: Subject, tmp_path: Path) -> None:
    mine = made(tmp_path, "mine", train=[(0, 0), (1, 1), (2, 0)], test=[(1, 1), (5, 0)])
    assert notes(untouched, mine, "probe")[LEAK].startswith(
        "1 of 2 images of test stands in train too, byte for byte: test/0 = train/1"
    )
    assert notes(untouched, mine, "zero_shot") == {LEAK: NO_LEAK}


def test_one_image_under_two_labels_touches_every_number(untouched: Subject, tmp_path: Path) -> None:
    mine = made(tmp_path, "mine", test=[(1, 0), (1, 1), (2, 0)])
    assert "2 of 3 images of test stand there under two labels" in notes(untouched, mine, "zero_shot")[LEAK]
    twice = made(tmp_path, "twice", test=[(1, 0), (1, 0), (2, 1)])
    assert notes(untouched, twice, "zero_shot") == {LEAK: NO_LEAK}, "the same image twice is no leak"


def test_what_a_trial_was_trained_on_touches_every_set_that_holds_it(untouched: Subject, tmp_path: Path) -> None:
    learnt = made(tmp_path, "learnt", train=[(n, n % 2) for n in range(6)], test=[(9, 0), (10, 1)])
    mine = made(tmp_path, "mine", test=[(3, 0), (9, 1), (20, 1)])
    assert notes(trained(untouched, learnt), mine, "zero_shot")[LEAK] == (
        "1 of 3 images of mine/test stands in learnt/train too, byte for byte: test/0 = train/3"
    )
    assert notes(untouched, mine, "zero_shot") == {LEAK: NO_LEAK}


def test_what_a_remedy_is_shown_was_learnt_from_too(untouched: Subject, tmp_path: Path) -> None:
    """Its own split, not the one called train."""
    learnt = made(tmp_path, "learnt", train=[(n, n % 2) for n in range(6)])
    made(tmp_path, "shown", train=[(30, 0)], val=[(9, 0), (10, 1)])
    mine = made(tmp_path, "mine", test=[(9, 1), (20, 1), (30, 0)])
    subject = trained(untouched, learnt)
    with_it = subject.trial.model_copy(update={"remedy": Replay(reference="shown/val")})
    assert notes(subject, mine, "zero_shot") == {LEAK: NO_LEAK}
    for trial in (
        with_it,
        with_it.model_copy(update={"remedy": Stack(remedies=(Replay(reference="shown/val"), Wise()))}),
    ):
        found = notes(replace(subject, trial=trial), mine, "zero_shot")[LEAK]
        assert found == "1 of 3 images of mine/test stands in shown/val too, byte for byte: test/0 = val/0"


def test_why_nobody_could_look(untouched: Subject, tmp_path: Path) -> None:
    learnt = made(tmp_path, "learnt", train=[(0, 0), (1, 1)])
    mine = made(tmp_path, "mine", test=[(3, 0), (9, 1)])
    gone = notes(trained(untouched, "nowhere"), mine, "zero_shot")
    assert gone == {UNCHECKED: "nowhere, which the encoder was trained on, is not prepared here"}
    other = replace(trained(untouched, learnt), trained_on={"learnt": "f" * 64})
    assert "prepared anew after" in notes(other, mine, "zero_shot")[UNCHECKED]


def test_the_tag_of_a_run_names_each_leak_once() -> None:
    def result(suite: str, **notes: str) -> Result:
        return Result(
            suite=suite, dataset="mine", protocol="p", protocol_version=1, scale="full", values={}, counts={},
            absent={f"{suite}/mine/{protocol_of(suite).leaves[0]}": "x"}, notes=notes,
        )  # type: ignore[arg-type]  # fmt: skip

    assert leaks_told([result("zero_shot", leak=NO_LEAK)]) == NO_LEAK
    told = leaks_told(
        [result("probe", leak="one"), result("knn", leak="one"), result("few_shot", leak_unchecked="old")]
    )
    assert told == "probe/mine, knn/mine: one; few_shot/mine: not checked: old"
    assert len(leaks_told([result("probe", leak="x" * 9000)])) == 5000


def test_results_of_an_older_gelo_are_not_said_to_be_free_of_leaks() -> None:
    scored = Result(
        suite="probe", dataset="mine", protocol="p", protocol_version=1, scale="full", values={"probe/mine/top1": 0.5}, counts={},
    )  # fmt: skip
    assert leaks_told([scored]) == "probe/mine: not checked: scored by an older gelo, which did not look for leaks"
    unscored = scored.model_copy(update={"values": {}, "absent": {"probe/mine/top1": "no train split"}})
    assert leaks_told([unscored]) == NO_LEAK
