"""MLflow's own pages in headless Chromium, on what gelo's outbox has sent, served by `gelo ui`: columns, four runs compared, a curve that
grows, a model with its card.

`GELO_SCREENSHOTS=1` writes the pictures of docs/mlflow.md anew; look at them before they are committed.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.analysis.browsing import PATIENCE, chromium
from tests.e2e.logged import GAIN, NAME, Logged

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
MOST_BYTES = 200_000  # of a picture
# Points of each line of each chart on the page.
POINTS = "() => [...document.querySelectorAll('.js-plotly-plot')].map(e => e.data.map(line => (line.x || []).length))"
# Runs of the table from top to bottom.
NAMES = """() => [...document.querySelectorAll('.ag-pinned-left-cols-container .ag-row')]
    .sort((one, other) => one.getAttribute('row-index') - other.getAttribute('row-index')).map(row => row.querySelector('a').innerText)"""
_QUIET = "".join(
    f"localStorage.setItem('mlflow.assistant.{key}','{value}');"
    for key, value in (("panelOpen_v1", "false"), ("fab.autoOpenedOnFirstLoad_v1", "true"))
)


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Logged:
    """Eight trials and the untouched backbone; the last has made six steps."""
    world = Logged(tmp_path_factory.mktemp("mlflow"))
    *whole, last = world.trials
    world.send(*map(world.finished, whole), world.training(last, 6))
    world.report()
    return world


@pytest.fixture(scope="module")
def address(logged: Logged, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The one that `gelo ui` prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gelo", "ui", NAME, "--tracking", logged.uri, "--port", str(port)]
    folder = tmp_path_factory.mktemp("served")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment["COLUMNS"] = "60"  # a narrow terminal: the address is whole all the same
    with (folder / "said").open("w") as said:
        server = subprocess.Popen(
            command, stdout=said, stderr=subprocess.STDOUT, cwd=folder, env=environment, start_new_session=True
        )
    try:
        limit = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < limit and server.poll() is None:
            words = (folder / "said").read_text().split()
            with socket.socket() as asked:
                if words[:1] == ["MLflow:"] and asked.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        else:
            pytest.fail((folder / "said").read_text())
        yield words[1]
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        context.set_default_timeout(PATIENCE)
        context.add_init_script(_QUIET)  # MLflow's assistant would open over a third of the page
        yield context.new_page()
        context.close()


def picture(page: Page, name: str) -> None:
    """Write the picture where that is asked for; without one, docs/mlflow.md would show nothing."""
    place = PICTURES / f"{name}.png"
    if os.environ.get("GELO_SCREENSHOTS"):
        page.wait_for_timeout(2000)  # what moves has come to rest
        place.write_bytes(page.screenshot())
    assert 10_000 < place.stat().st_size <= MOST_BYTES, place


def opened(page: Page, address: str) -> None:
    """A new document: the same page at another fragment would only be told of it."""
    page.goto("about:blank")
    page.goto(address)


def table(page: Page, address: str) -> Any:
    """The rows of the table of runs."""
    opened(page, address)
    rows = page.locator(".ag-pinned-left-cols-container .ag-row")
    rows.nth(9).wait_for()
    return rows


def test_the_columns_that_say_most_are_shown_and_runs_come_by_what_they_kept(
    page: Page, address: str, logged: Logged
) -> None:
    assert address.endswith("&viewStateShareKey=gelo")
    rows = table(page, address)
    page.set_viewport_size({"width": 2400, "height": 800})  # columns out of sight are not in the document
    page.locator(".ag-header-cell").filter(has_text="gelo.state").wait_for()
    heads = set(filter(None, page.locator(".ag-header-cell").all_inner_texts()))
    metrics = {"gelo/zero_shot", "zero_shot/mean/top1", "gain/faces/highest", *GAIN.values()}
    params = {"backbone", "task", "adaptation.kind", "remedy.kind", "seed"}
    assert heads == {"Run Name", "Created", "Duration", "gelo.state"} | metrics | params
    page.set_viewport_size({"width": 1280, "height": 800})
    rows.nth(9).wait_for()
    names = page.evaluate(NAMES)
    assert set(names) == {NAME, *logged.labels.values()}, "the sweep's own run and its trials, none folded away"
    assert names[:3] == ["mini-s spoofs lora seed 0", "mini-s spoofs lora seed 1", "mini-s faces lora seed 0"], (
        "the best kept first"
    )
    picture(page, "mlflow-runs")


def test_four_runs_are_compared_and_their_parameters_lead_to_a_metric(page: Page, address: str) -> None:
    rows = table(page, address)
    for place in (0, 2, 4, 5):
        rows.nth(place).locator("input[type=checkbox]").first.click()  # the second hides the run
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 4 Runs from 1 Experiment").wait_for()
    page.get_by_role("tab", name="Parallel Coordinates Plot").wait_for()
    page.locator(".js-plotly-plot .axis-title").nth(2).wait_for()  # an axis each: two parameters or more, and a metric
    picture(page, "mlflow-compared")


def test_charts_stand_in_groups_by_the_first_part_of_a_metric_s_name(page: Page, address: str) -> None:
    opened(page, f"{address}&compareRunsMode=CHART")
    page.locator(".js-plotly-plot").first.wait_for()
    for group in ("forgetting", "fr/pairs"):
        page.get_by_text(re.compile(rf"^{group}\s*\(1\)$")).first.wait_for()
    assert max(len(lines) for lines in page.evaluate(POINTS)) >= 4, "a line for each run"
    picture(page, "mlflow-charts")


def test_the_curve_of_a_run_grows_on_the_open_page_while_it_trains(page: Page, address: str, logged: Logged) -> None:
    last = logged.trials[-1]
    run = logged.outbox.run_of(last.key)
    opened(page, address.split("?")[0] + f"/{run}/model-metrics")
    page.wait_for_function(f"() => JSON.stringify(({POINTS})()).includes('[6')")
    assert logged.send(logged.training(last, 12)) == 6 + 1  # losses, a look
    page.wait_for_function(f"() => JSON.stringify(({POINTS})()).includes('[12')")
    page.wait_for_function(f"() => JSON.stringify(({POINTS})()).includes('[3')")  # of a look each five steps
    page.set_viewport_size({"width": 1280, "height": 1080})  # and both are seen
    picture(page, "mlflow-live")


def test_a_trial_says_where_its_files_are_and_is_a_model_with_a_card(page: Page, address: str, logged: Logged) -> None:
    trial = logged.trials[1]
    opened(page, address.split("?")[0] + f"/{logged.outbox.run_of(trial.key)}")
    page.get_by_text("Show more").click()
    page.get_by_text(f"gelo export {NAME}/{trial.key}").wait_for()
    picture(page, "mlflow-run")
    with page.expect_popup() as model:
        page.get_by_role("link", name=logged.labels[trial.key]).first.click()
    model.value.get_by_text("It keeps ").first.wait_for()
    model.value.close()


def test_the_report_and_its_pictures_are_files_of_the_sweep_s_run(page: Page, address: str, logged: Logged) -> None:
    opened(page, address.split("?")[0] + f"/{logged.outbox.run_of(logged.trials[1].key)}")
    with page.expect_popup() as report:
        page.get_by_role("link", name="report", exact=True).click()
    files = report.value
    for name in ("index.html", "gelo.csv", "pictures"):
        files.get_by_text(name, exact=True).first.wait_for()
    files.frame_locator("iframe").first.get_by_text("small: what specialisation cost").wait_for()
    files.close()
