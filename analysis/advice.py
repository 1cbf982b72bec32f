"""What `gelo recommend` says: its answers as sentences and rows for people, and as a document for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from gelo.analysis.candidates import Candidate
from gelo.analysis.finding import signed
from gelo.analysis.recommend import Advice, Answer, Constraint, Runner, above
from gelo.analysis.tested import Figure
from gelo.models.words import counted

HEADINGS = ("", "validation", "test", "95 % interval, test")
NAMED = 6  # of those that are told in one sentence


def asked(constraint: Constraint) -> str:
    """The constraint in words: `keeps at least 95 % of zero-shot accuracy`."""
    if constraint.keep is not None:
        return f"keeps at least {_per_cent(constraint.keep)} of zero-shot accuracy"
    return f"gains at least {constraint.gain:g} points"


def title(answer: Answer, advice: Advice) -> str:
    """Of the rows of one answer."""
    return f"{answer.cell.where}{' (MINIATURE)' if advice.miniature else ''}"


def rows(answer: Answer, advice: Advice) -> list[tuple[str, ...]]:
    """`HEADINGS` for each: gained and kept of the setting that was chosen; [] where none was."""
    chosen = answer.chosen
    if chosen is None:
        return []
    points = advice.points[answer.cell.task]
    unit = "points" if points else "points; test in its own unit"
    return [
        (f"gain, {unit}", signed(chosen.gain), *_shown(answer.gain, 1 if points else 4, sign=True)),
        ("zero-shot kept", f"{chosen.share:.3f}", *_shown(answer.kept, 3)),
    ]


def export(answer: Answer, advice: Advice, place: str) -> str:
    """The command that takes the chosen trial away. place: its option of the storage, "" for the default."""
    return f"gelo export {advice.sweep}/{answer.trial} --to DIR{place}"


def sentences(answer: Answer, advice: Advice) -> list[str]:
    """In the order in which they are read; behind them stands the command that takes the trial away."""
    if answer.chosen is None:
        return list(_none(answer, advice.constraint))
    return [
        _taken(answer, advice.constraint),
        *_warned(answer, advice),
        *_others(answer, advice),
        *_intervals(answer),
        *_left(answer),
        *_seed(answer, advice.constraint),
    ]


def closing(advice: Advice) -> list[str]:
    """What holds for all answers."""
    told = [
        "Chosen by validation images (the last point of each forgetting curve); test images only tell what the choice is worth."
    ]
    if advice.comparisons:
        told.append(
            f"Beside the chosen ones: paired intervals that hold for all {counted(advice.comparisons, 'comparison')} together "
            "(95 %, Bonferroni), on the same test images and seeds."
        )
    if advice.miniature:
        told.append(f"Miniature: {advice.miniature}. It shows the method and recommends nothing for real data.")
    return told


def document(advice: Advice, place: str) -> dict[str, Any]:
    """For `--json`: plain values. Figures on test images have `low` and `high` null where no noise is known."""
    return {
        "sweep": advice.sweep,
        "constraint": asdict(advice.constraint),
        "met": advice.met,
        "comparisons": advice.comparisons,
        "miniature": advice.miniature,
        "answers": [_document(answer, advice, place) for answer in advice.answers],
    }


def _document(answer: Answer, advice: Advice, place: str) -> dict[str, Any]:
    chosen = answer.chosen
    told: dict[str, Any] = {"backbone": answer.cell.backbone, "task": answer.cell.task, "metric": answer.cell.metric}
    told |= {"settings": len(answer.cell.candidates), "meeting": answer.meeting, "left_out": dict(answer.cell.left)}
    told |= {"chosen": None, "nearest": None if answer.nearest is None else _plain(answer.nearest)}
    if chosen is not None:
        told["chosen"] = _plain(chosen) | {"trial": answer.trial, "seed": answer.seed}
        told["export"] = export(answer, advice, place)
        told |= {
            "test": {"gain": asdict(answer.gain), "kept": asdict(answer.kept)},
            "alike_on_validation": answer.alike,
        }
        told["runners_up"] = [
            _plain(each.candidate)
            | {name: getattr(each, name) for name in ("told", "difference", "low", "high", "why")}
            for each in answer.runners
        ]
        told["warnings"] = list(_warned(answer, advice))
    return told


def _plain(candidate: Candidate) -> dict[str, Any]:
    validation = {"gain": candidate.gain, "kept": candidate.share}
    by = {"gain_by_seed": dict(candidate.gains), "kept_by_seed": dict(candidate.kept)}
    return {"name": candidate.name, "trials": dict(candidate.trials), "validation": validation | by}


def _shown(figure: Figure, digits: int, sign: bool = False) -> tuple[str, str]:
    def number(value: float) -> str:
        return signed(value, digits) if sign else f"{value:.{digits}f}"

    if figure.value is None:
        return "", figure.why
    if figure.low is None or figure.high is None:
        return number(figure.value), "not known"
    return number(figure.value), f"{number(figure.low)} to {number(figure.high)}"


def _intervals(answer: Answer) -> Iterator[str]:
    over = list(dict.fromkeys(figure.over for figure in (answer.gain, answer.kept) if figure.over))
    if over:
        yield f"Intervals over {'; '.join(over)}."


def _taken(answer: Answer, constraint: Constraint) -> str:
    assert answer.chosen is not None
    most = "gains most" if constraint.keep is not None else "keeps most"
    many = counted(len(answer.cell.candidates), "setting")
    if answer.meeting == 1:
        return f"{answer.chosen.name}: the only one of {many} that {asked(constraint)} on validation."
    return f"{answer.chosen.name}: {most} on validation among the {answer.meeting} of {many} of which each {asked(constraint)} there."


def _none(answer: Answer, constraint: Constraint) -> Iterator[str]:
    where, near = answer.cell.where, answer.nearest
    if near is None:
        yield f"{where}: nothing can be chosen."
    else:
        yield (
            f"{where}: no setting of {len(answer.cell.candidates)} {asked(constraint)} on validation. Nearest: {near.name} "
            f"({', '.join(near.trials.values())}), which keeps {near.share:.3f} and gains {signed(near.gain)} points there."
        )
    yield from _left(answer)


def _warned(answer: Answer, advice: Advice) -> Iterator[str]:
    """Where test images say less than validation images did."""
    chosen, constraint = answer.chosen, advice.constraint
    assert chosen is not None
    limit, figure = (constraint.keep, answer.kept) if constraint.keep is not None else (constraint.gain, answer.gain)
    comparable = constraint.keep is not None or advice.points[answer.cell.task]
    if limit is not None and comparable and figure.value is not None:
        found, least = (
            (f"keeps {figure.value:.3f}", f"{limit:g}")
            if constraint.keep is not None
            else (f"gains {signed(figure.value)} points", f"{limit:g}")
        )
        if above(figure.value, limit) < 0:
            yield f"BELOW what was asked on test images: it {found}, not {least}, though validation met it."
        elif figure.low is not None and above(figure.low, limit) < 0:
            yield f"On test images it {found}, but its interval reaches below {least}."
    if chosen.gain <= 0:
        yield "It gained nothing on validation: the untouched backbone does as well."


def _others(answer: Answer, advice: Advice) -> Iterator[str]:
    wanted = "gain" if advice.constraint.keep is not None else "kept"
    unit = (1, "points" if advice.points[answer.cell.task] else "") if wanted == "gain" else (3, "")
    if answer.alike:
        yield f"The same figures on validation have: {_names(answer.alike)}; the first by name was taken."
    for told, start in (
        ("more", "Better than it on test images, though validation did not say so"),
        ("not told apart", "Not told apart from it on test images"),
        ("less", "Less on test images"),
    ):
        those = [_beside(each, *unit) for each in answer.runners if each.told == told]
        if those:
            yield f"{start} ({wanted}, it minus the other): {_names(those)}."
    lacking = [f"{each.candidate.name} ({each.why})" for each in answer.runners if each.told == "not compared"]
    if lacking:
        yield f"Not compared with it: {_names(lacking)}."


def _beside(runner: Runner, digits: int, unit: str) -> str:
    ends = [signed(value, digits) for value in (runner.difference, runner.low, runner.high) if value is not None]
    behind = f" {unit}" if unit else ""
    return f"{runner.candidate.name} {ends[0]}{behind} [{ends[1]}, {ends[2]}]"


def _seed(answer: Answer, constraint: Constraint) -> Iterator[str]:
    chosen, seed = answer.chosen, answer.seed
    assert chosen is not None
    if len(chosen.trials) < 2:
        yield f"One seed ({seed}): another might do otherwise, and no interval here says how far. Take it away:"
        return
    own = f"gained {signed(chosen.gains[seed])} points and kept {chosen.kept[seed]:.3f}"
    meets = constraint.held(chosen.gains[seed], chosen.kept[seed]) >= 0
    why = (
        "best on validation of the seeds that meet it themselves"
        if meets
        else "nearest to it on validation, met by none of its seeds alone"
    )
    yield f"Of its seeds {', '.join(map(str, sorted(chosen.trials)))} take {seed} ({answer.trial}), {why}: it {own} there. Take it away:"


def _left(answer: Answer) -> Iterator[str]:
    by: dict[str, list[str]] = {}
    for name, why in answer.cell.left.items():
        by.setdefault(why, []).append(name)
    for why, those in by.items():
        yield f"Left out, {why}: {_names(those)}."


def _names(those: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(those) - NAMED} more (--json lists all)" if len(those) > NAMED else ""
    return f"{'; '.join(those[:NAMED])}{more}"


def _per_cent(share: float) -> str:
    return f"{100 * share:g} %"
