"""A trained trial is one model of MLflow whatever is stopped when; its numbers are the run's own rows; the saved view; filters of the docs.

Read back from MLflow's tables and by its client.
"""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from gelo.sweeps.exchange.modelcard import model_of
from gelo.sweeps.stages.embed import Subject
from gelo.sweeps.state.folder import SweepFolder
from gelo.sweeps.tracking.store import VIEW_TAG, experiment_page
from gelo.sweeps.tracking.view import ordered
from gelo.tasks.data.embed import EncoderRef
from tests.e2e.logged import GAIN, NAME, Logged, results

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
WRITES = (
    "create_logged_model", "log_model_artifact", "set_logged_model_tags", "log_outputs", "finalize_logged_model", "log_batch",
)  # fmt: skip


class Stopped(BaseException):
    """As a kill: nothing handles it."""


def select(world: Logged, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(world.uri.removeprefix("sqlite:///"))) as database:
        return database.execute(query).fetchall()


ROWS = "select run_uuid, key, step, value, timestamp, is_nan from metrics order by 1, 2, 3, 5"
MODELS = "select model_id, source_run_id, status from logged_models where lifecycle_stage = 'active' order by 1"
TOLD = """select l.metric_name, l.metric_value from logged_model_metrics l join logged_models m on m.model_id = l.model_id
    where m.lifecycle_stage = 'active' order by 1, l.metric_timestamp_ms"""
OUTPUTS = "select source_id, destination_id from inputs where source_type = 'RUN_OUTPUT' order by 1, 2"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    world = Logged(tmp_path_factory.mktemp("whole"))
    world.send(*map(world.finished, world.trials))
    world.report()
    return world


def client(world: Logged) -> tuple[Any, str]:
    from mlflow import MlflowClient

    found = MlflowClient(tracking_uri=world.uri)
    return found, found.get_experiment_by_name(NAME).experiment_id


def test_each_trained_trial_is_one_ready_model_with_its_card_and_its_headline(whole: Logged) -> None:
    found, experiment = client(whole)
    for trial in whole.trials:
        models = found.search_logged_models([experiment], f"tags.`gelo.trial` = '{trial.key}'")
        assert len(models) == (trial.task != "none"), "the untouched backbone is none"
        for model in models:
            assert str(model.status) == "READY" and model.source_run_id == whole.outbox.run_of(trial.key)
            told = {entry.key: entry.value for entry in model.metrics}
            wanted = ("gelo/zero_shot", "zero_shot/mean/top1", GAIN[trial.task])
            assert told == {name: results(trial)[name] for name in wanted}
            assert model.params["adaptation.kind"] == trial.adaptation.kind and model.params["seed"] == str(trial.seed)
            assert model.tags["gelo.weights"].endswith(f"trials/{trial.key}/trained"), "weights are never copied"
            place = Path(model.artifact_location.removeprefix("file://"))
            assert [file.name for file in place.iterdir()] == ["README.md"]
            assert (place / "README.md").read_text() == model.tags["mlflow.note.content"]
            outputs = found.get_run(model.source_run_id).outputs.model_outputs
            assert [each.model_id for each in outputs] == [model.model_id]


def test_stopped_at_any_request_and_gone_on_with_there_is_one_model_and_no_row_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    trial, *others = Logged(tmp_path, seeds=range(4)).trials[1:]
    for number, (name, after) in enumerate(product(WRITES, (False, True))):
        real = getattr(MlflowClient, name)

        def stop(*args: Any, real: Any = real, after: bool = after, **options: Any) -> None:
            if after:
                real(*args, **options)
            raise Stopped

        monkeypatch.setattr(MlflowClient, name, stop)
        with pytest.raises(Stopped):
            killed = Logged(tmp_path, name, range(4))
            killed.send(killed.finished(others[number]))
        monkeypatch.setattr(MlflowClient, name, real)
        Logged(tmp_path, name, range(4))  # sends what waits
    world = Logged(tmp_path, seeds=range(4))
    wanted = len(world.finished(trial).wanted or ())
    world.send(world.finished(trial))
    assert Logged(tmp_path, WRITES[0], range(4)).send() == 0
    rows, models, outputs = (select(world, query) for query in (ROWS, MODELS, OUTPUTS))
    assert len({row[:-1] for row in rows}) == len(rows)
    assert {len([row for row in rows if row[0] == run]) for _, run, _ in models} == {wanted}
    assert len(models) == len({run for _, run, _ in models}) == 2 * len(WRITES) + 1 == len(set(outputs)) == len(outputs)
    assert {status for *_, status in models} == {2}, "READY"


def test_the_card_follows_the_numbers_and_what_is_defined_no_more_is_no_number_of_the_model(tmp_path: Path) -> None:
    world = Logged(tmp_path)
    trial = world.trials[1]
    world.send(world.finished(trial))
    ((before, run, _),) = select(world, MODELS)
    world.send(world.finished(trial, **{"zero_shot/mean/top1": 0.125}))
    ((after, _, _),) = select(world, MODELS)
    assert before == after and world.send(world.finished(trial, **{"zero_shot/mean/top1": 0.125})) == 0
    found, experiment = client(world)
    (model,) = found.search_logged_models([experiment])
    assert "It keeps 0.1250." in model.tags["mlflow.note.content"]
    assert {each.key: each.value for each in model.metrics}["zero_shot/mean/top1"] == 0.125
    asked = world.finished(trial, **{"zero_shot/mean/top1": 0.125})
    less = {place: value for place, value in (asked.wanted or {}).items() if place[0] != "gelo/zero_shot"}
    kept = asked.model._replace(metrics=tuple(name for name in asked.model.metrics if name != "gelo/zero_shot"))  # type: ignore[union-attr]
    assert world.send(type(asked)(**{**vars(asked), "wanted": less, "model": kept})) == 1, "a NaN in the run"
    ((anew, its, _),) = select(world, MODELS)
    assert anew != before and its == run
    assert {name for name, _ in select(world, TOLD)} == {"zero_shot/mean/top1", GAIN[trial.task]}


def test_the_card_of_a_trial_says_what_it_is_its_numbers_and_how_to_have_it(whole: Logged, tmp_path: Path) -> None:
    trial = whole.trials[1]
    folder = SweepFolder(type(whole.outbox.spool.root)(tmp_path), NAME).trial(trial)
    folder.trained.mkdir(parents=True)
    ref = EncoderRef("v" * 16, "mini-s", None, None)
    subject = Subject(trial, folder, ref, ref, "t" * 16, 100.0, whole.labels[trial.key])
    model = model_of(subject, results(trial))
    assert model.place == str(folder.trained) and set(model.metrics) == {
        "gelo/zero_shot",
        "zero_shot/mean/top1",
        "fr/pairs/accuracy",
    }
    for text in (
        "# mini-s faces lora seed 0", "MINIATURE", "fine-tuned on faces", "| gelo/zero_shot | 0.920 |", "| fr/pairs/accuracy | 85.80",
        "| adaptation | lora, ", f"gelo export {NAME}/{trial.key} --to DIR --storage {tmp_path}",
    ):  # fmt: skip
        assert text in model.card, model.card


def test_the_view_shows_what_the_sweep_has_grows_with_it_and_keeps_what_a_person_made_of_it(
    whole: Logged, tmp_path: Path
) -> None:
    found, experiment = client(whole)
    envelope = json.loads(found.get_experiment(experiment).tags[VIEW_TAG])
    state = json.loads(envelope["state"])
    names = {name for (name,) in select(whole, "select distinct key from metrics")}
    params = {name for (name,) in select(whole, "select distinct key from params")}
    for column in state["selectedColumns"]:
        kind, name = re.fullmatch(r"(\w+)\.`(.+)`", column).groups()  # type: ignore[union-attr]
        assert name in {"metrics": names, "params": params, "tags": {"gelo.state"}}[kind]
    assert state["orderByKey"] == "metrics.`gelo/zero_shot`" and not state["orderByAsc"]
    assert experiment_page(whole.uri, NAME).endswith("&viewStateShareKey=gelo")

    world = Logged(tmp_path)
    world.send(world.training(world.trials[1], 2))
    found, experiment = client(world)
    first = json.loads(json.loads(found.get_experiment(experiment).tags[VIEW_TAG])["state"])
    assert first["orderByKey"] == "tags.`mlflow.runName`" and not [
        x for x in first["selectedColumns"] if x.startswith("metrics")
    ]
    own = {
        "selectedColumns": [*first["selectedColumns"], "params.`head.kind`"],
        "orderByKey": "attributes.start_time",
        "groupBy": None,
    }
    found.set_experiment_tag(
        experiment, VIEW_TAG, json.dumps({"name": "mine", "createdAt": 1, "state": json.dumps(own)})
    )
    grown = Logged(tmp_path)
    grown.send(grown.finished(grown.trials[1]))
    last = json.loads(json.loads(found.get_experiment(experiment).tags[VIEW_TAG])["state"])
    assert last["orderByKey"] == "attributes.start_time" and last["groupBy"] is None
    assert {"params.`head.kind`", "metrics.`gelo/zero_shot`"} < set(last["selectedColumns"])
    assert ordered(reversed(last["selectedColumns"])) == last["selectedColumns"]


def test_a_description_names_files_commands_and_the_report_and_stays_as_a_person_writes_it(whole: Logged) -> None:
    found, experiment = client(whole)
    trial = whole.trials[1]
    run = found.get_run(whole.outbox.run_of(trial.key))
    parent = run.data.tags["mlflow.parentRunId"]
    note = run.data.tags["mlflow.note.content"]
    for text in (
        str(whole.root / "trials" / trial.key),
        f"gelo resume {NAME} --storage {whole.root.parent}",
        f"gelo logs {trial.key} {NAME}",
    ):
        assert text in note
    assert f"(#/experiments/{experiment}/runs/{parent}/artifacts/report/index.html)" in note
    assert "report/index.html" in found.get_run(parent).data.tags["mlflow.note.content"]
    assert {file.path for file in found.list_artifacts(parent, "report")} == {
        "report/index.html",
        "report/gelo.csv",
        "report/pictures",
    }
    found.set_tag(run.info.run_id, "mlflow.note.content", "mine")
    again = Logged(whole.root.parents[1], "another")
    again.send(again.finished(trial, **{"zero_shot/shapes/top1": 0.25}))
    assert found.get_run(run.info.run_id).data.tags["mlflow.note.content"] == "mine"


def test_the_filters_of_the_documentation_find_what_they_say(whole: Logged) -> None:
    found, experiment = client(whole)
    told = re.findall(r"^\| `` ?(.+?) ?`` \| (.+) \|$", (ROOT / "docs" / "mlflow.md").read_text(), re.MULTILINE)
    assert len(told) >= 6
    for query, words in told:
        names = {
            run.info.run_name for run in found.search_runs([experiment], query.replace("KEY", whole.trials[1].key))
        }
        labels = whole.labels.values()
        expected = {
            "trials, without the sweep's own run": set(labels),
            "the sweep's own run": {NAME},
            "one trial": {whole.labels[whole.trials[1].key]},
            "LoRA on faces": {name for name in labels if "faces lora" in name},
            "what kept 90 per cent or more": {
                whole.labels[t.key] for t in whole.trials[1:] if results(t)["gelo/zero_shot"] >= 0.9
            },
            "what is whole": set(labels),
            "what trains now": set(),
        }[words]
        assert names == expected, query
