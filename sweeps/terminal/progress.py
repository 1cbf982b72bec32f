"""What a user sees while a sweep runs: live bars on a terminal, plain lines when piped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.filesize import pick_unit_and_suffix
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from gelo.sweeps.engine.signals import check
from gelo.sweeps.terminal.listing import say

_LINE_EVERY = 10.0  # seconds between plain lines of one stage
_QUIET = 30.0  # seconds without anything new after which a stage says so
PATIENCE = 5.0  # seconds after which is said what is waited for


class Display:
    """Stages of a run, one after the other, each counting in its own unit.

    stages: who wants to hear of each stage, at its start and at its end; lines: of each line that is said, without its colours.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = time.monotonic()
        self.stages: list[Callable[[Stage], object]] = []
        self.lines: list[Callable[[str], object]] = []
        self._one = threading.RLock()  # threads say lines too, and so does a signal, in the middle of one

    def say(self, text: str) -> None:
        """One line, with the seconds since the start."""
        with self._one:
            for hear in self.lines:
                hear(Text.from_markup(text).plain)
            say(self.console, Text.from_markup(f"[dim]{time.monotonic() - self.started:7.1f} s[/dim]  {text}"))

    @contextmanager
    def stage(self, title: str, total: int, unit: str) -> Iterator[Stage]:
        """A stage of `total` units; shows rate and estimated time left, and a closing line."""
        stage = _LiveStage(self, title, total, unit) if self.console.is_terminal else Stage(self, title, total, unit)
        for hear in self.stages:
            hear(stage)
        try:
            with stage.shown():
                yield stage
        finally:
            stage.over = True
            for hear in self.stages:
                hear(stage)
        rate = stage.done / max(time.monotonic() - stage.since, 1e-9)
        failed = f", [red]{stage.failed} failed[/red]" if stage.failed else ""
        self.say(
            f"{title}: {stage.done:,} {unit} in {time.monotonic() - stage.since:.1f} s ({_pace(rate, f' {unit}')}){failed}"
        )


class Stage:
    """Counts; prints a line now and then, also where nothing moves: a worker that waits for storage is not heard from.

    done, failed, cut: of `total`, in `unit`. running: keys of the trials that train now, where trials do. over: it has ended.
    """

    def __init__(self, display: Display, title: str, total: int, unit: str) -> None:
        self.display, self.title, self.total, self.unit = display, title, total, unit
        self.done, self.failed, self.cut, self.note = 0, 0, 0, ""
        self.running: tuple[str, ...] = ()
        self.over = False
        self.since = self._last = self._moved = time.monotonic()

    def tick(self, count: int = 1) -> None:
        check()
        self.done += count
        self._moved = time.monotonic()
        self._draw()

    def describe(self, note: str) -> None:
        """What is going on right now, e.g. which trials run."""
        self._moved = time.monotonic() if note != self.note else self._moved
        self.note = note
        self._draw()

    def told(self) -> str:
        """What is going on right now, and for how long nothing has."""
        still = time.monotonic() - self._moved
        return "; ".join([self.note] * bool(self.note) + [f"nothing new for {still:.0f} s"] * (still >= _QUIET))

    def _draw(self) -> None:
        if time.monotonic() - self._last >= _LINE_EVERY:
            self._last = time.monotonic()
            rate = self.done / max(self._last - self.since, 1e-9)
            left = f", about {(self.total - self.done) / rate:.0f} s left" if rate else ""
            note = f"; {escape(told)}" if (told := self.told()) else ""
            self.display.say(f"{self.title}: {self.done:,} of {self.total:,} {self.unit} ({_pace(rate)}{left}){note}")

    @contextmanager
    def shown(self) -> Iterator[None]:
        over = threading.Event()
        threading.Thread(target=self._beat, args=(over,), daemon=True, name=f"stage {self.title}").start()
        try:
            yield
        finally:
            over.set()

    def _beat(self, over: threading.Event) -> None:
        while not over.wait(1.0):
            if time.monotonic() - max(self._moved, self._last) >= _QUIET:
                self._draw()


def _pace(rate: float, unit: str = "") -> str:
    """A rate in words: `1,234.5/s`, or how long one takes where that says more."""
    return f"{rate:,.1f}{unit}/s" if rate >= 1 or not rate else f"{1 / rate:,.1f} s each"


class _LiveStage(Stage):
    """The same as a rich bar, and below it what is going on."""

    @contextmanager
    def shown(self) -> Iterator[None]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=8)),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} [dim]{task.fields[rate]}"),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
        )
        with _TwoLines(*columns, console=self.display.console, transient=True, expand=True) as self._bar:
            self._task = self._bar.add_task(self.title, total=self.total, note="", rate="")
            with super().shown():
                yield

    def _draw(self) -> None:
        rate = self.done / max(time.monotonic() - self.since, 1e-9)
        unit, prefix = pick_unit_and_suffix(int(rate), ["", "k", "M", "G"], 1000)
        self._bar.update(
            self._task,
            completed=self.done,
            note=self.told(),
            rate=_pace(rate) if rate < 1 else f"{rate / unit:.1f}{prefix}/s",
        )


class _TwoLines(Progress):
    """Its note on a line of its own, so that the bar has room at any width."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if task.fields["note"]:
                yield Text(f"  {task.fields['note']}", style="dim", overflow="ellipsis", no_wrap=True)


@contextmanager
def waiting(what: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say what is waited for when the block takes longer than a few seconds, and again while it goes on."""
    over, since = threading.Event(), time.monotonic()

    def tell() -> None:
        if over.wait(PATIENCE):
            return
        say(f"waiting for {what}")
        while not over.wait(_QUIET):
            say(f"waiting for {what}, for {time.monotonic() - since:.0f} s now")

    threading.Thread(target=tell, daemon=True, name="waiting").start()
    try:
        yield
    finally:
        over.set()
