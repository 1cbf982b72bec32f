"""Where a sweep stands, on a terminal: the trials, what runs, what it took, what `resume` would do."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from gelo.models.words import counted, span
from gelo.sweeps.state.packing import packing
from gelo.sweeps.state.progress import Progress, TrialProgress
from gelo.sweeps.terminal.listing import Listing, broken, say


def show(found: Progress, console: Console) -> None:
    """All of it, once."""
    console.print(_table(found))
    for line in lines(found):
        say(console, line)


def watch(look: Callable[[], Progress], console: Console, every: float) -> None:
    """Look again every so many seconds, until nobody runs the sweep or Ctrl-C. Where output goes to a file or a program: the lines, each
    time that they change, and the table at the end."""
    found = look()
    if not console.is_terminal:
        last: list[str] = []
        while found.running:
            now = lines(found)
            for line in now if now != last else []:
                say(console, line)
            last = now
            found = _later(look, every)
        show(found, console)
        return
    with Live(_whole(found, console), console=console, auto_refresh=False, transient=True) as live:
        while found.running:
            found = _later(look, every)
            live.update(_whole(found, console), refresh=True)
    show(found, console)


def lines(found: Progress) -> list[str]:
    """The sentences below the table."""
    complete, trials = found.counts.get("complete", 0), len(found.trials)
    how = f"; {found.state}{', by ' if found.holder else ''}{found.holder}" if found.state != "complete" else ""
    told = [f"{complete} of {trials} trials complete{how}"]
    for stage in found.stages if found.running else []:
        if stage.title == found.stage:
            rate = f", {stage.rate:,.1f} {stage.unit}/s" if stage.rate and stage.unit == "images" else ""
            failed = f", {stage.failed} failed" if stage.failed else ""
            told.append(f"now {stage.title}: {stage.done:,} of {stage.total:,} {stage.unit}{rate}{failed}")
    if found.images_per_second is not None:
        told.append(f"training on {found.images_per_second:,.0f} images/s")
    if found.eta_seconds is not None:
        told.append(f"about {span(found.eta_seconds)} left, as far as is known")
    if found.hours.cpu:
        told.append(_cost(found))
    if not found.packed and (advice := packing(found.trials)):
        told.append(advice)
    if found.resumed:
        told.append(f"kills and stops survived: {counted(found.resumed, 'training')} went on from a checkpoint")
    if not found.running and complete < trials:
        told.append(_resume(found))
    return told


def _table(found: Progress) -> Listing:
    table = Listing(f"sweep {found.name}", ("key", "trial", "state", "results", "note"))
    for trial in found.trials:
        table.add(trial.key, trial.label, _state(trial), f"{trial.results} of {trial.expected}", trial.note)
    return table


def _state(trial: TrialProgress) -> str:
    if not trial.running:
        return trial.state
    done = f" {100 * trial.step / trial.steps:.0f} %" if trial.steps else ""
    return f"trains{done}"


def _cost(found: Progress) -> str:
    hours = found.hours
    own = [f"{_hours(hours.gpu)} GPU hours"] if hours.gpu else []
    again = [f"{_hours(hours.gpu_repeated)} GPU hours"] if hours.gpu else []
    return (
        f"training took {' and '.join([*own, f'{_hours(hours.cpu)} CPU hours'])}, of which "
        f"{' and '.join([*again, f'{_hours(hours.cpu_repeated)} CPU hours'])} were done twice"
    )


def _hours(value: float) -> str:
    return f"{value:.3g}"


def _resume(found: Progress) -> str:
    does = found.resume
    parts = [
        (does.go_on, f"train {does.go_on} from a checkpoint"),
        (does.train, f"train {does.train} from the start"),
        (does.again, f"try {does.again} that failed again"),
        (does.score, f"score {counted(does.score, 'result')}"),
    ]
    would = ", ".join(text for count, text in parts if count) or "write the report again"
    return f"go on with: {does.command} (it would {would})"


def _whole(found: Progress, console: Console) -> RenderableType:
    said = [line for text in lines(found) for line in broken(Text(text), console.width)]
    return Group(_table(found), *said)


def _later(look: Callable[[], Progress], every: float) -> Progress:
    """The next look. A large sweep, which takes long to look at, is looked at less often."""
    time.sleep(every)
    began = time.monotonic()
    found = look()
    time.sleep(min(60.0, 3 * (time.monotonic() - began)))
    return found
