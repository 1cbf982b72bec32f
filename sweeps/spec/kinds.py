"""The kinds of adaptations, remedies and heads by name, and whether they go together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from gelo.models import adapt, heads, remedies
from gelo.models.adapt.base import AdaptationSpec
from gelo.models.backbones.registry import text_layers, text_width, vision_layers, vision_width
from gelo.models.faults import Fault, unknown
from gelo.models.members import kind_of
from gelo.models.remedies.base import RemedySpec
from gelo.models.spec import Spec
from gelo.tasks.ledger.trial import Trial

REMEDY: TypeAdapter[Any] = TypeAdapter(remedies.Remedy)  # a stack too


def _by_kind(members: Iterable[type[Spec]]) -> dict[str, type[Spec]]:
    return {kind_of(member): member for member in members}


ADAPTATIONS = _by_kind(member for member in adapt.ADAPTATIONS if member.trains)
REMEDIES, HEADS = _by_kind(remedies.REMEDIES), _by_kind(heads.HEADS)

LIKE = {
    kind: getattr(spec, "like", "") or kind for kind, spec in ADAPTATIONS.items()
}  # whose defaults in a task each takes


def of_lora(defaults: Mapping[str, object]) -> dict[str, dict[str, object]]:
    """A task's defaults for LoRA, by each kind of adaptation that takes them: of those the fields that it has."""
    able = [kind for kind, of in LIKE.items() if of == "lora"]
    return {kind: {n: v for n, v in defaults.items() if n in ADAPTATIONS[kind].model_fields} for kind in able}


def listed_fields(spec: type[Spec]) -> frozenset[str]:
    """Fields whose one value is a list."""
    return frozenset(name for name, field in spec.model_fields.items() if "tuple" in str(field.annotation))


def unfit(where: str, adaptation: AdaptationSpec, backbone: str) -> list[Fault]:
    """What of the adaptation a backbone's towers do not have: a block, a width, a text tower that can train."""
    return [
        *adaptation.faults(vision_layers(backbone), where),
        *adaptation.faults_of_width(vision_width(backbone), where),
        *adaptation.faults_of_text(text_layers(backbone), text_width(backbone), where),
    ]


def odd(where: str, kind: str, key: str, known: Mapping[str, type[Spec]]) -> Fault:
    """Of a key that a kind does not have; of `towers` with the kinds that have it."""
    fields = [field for field in known[kind].model_fields if field != "kind"]
    able = [other for other, spec in known.items() if "towers" in spec.model_fields]
    if key != "towers" or not able:
        return unknown(where, key, fields, "key")
    found = f"key 'towers' of {kind}, which adapts the vision tower alone"
    return Fault(where, found, f"one of {', '.join(able)}, which adapt the text tower too", "leave it out")


def unmet(where: str, remedy: Mapping[str, Any], adaptation: AdaptationSpec) -> Iterator[Fault]:
    """What the remedies ask of the adaptation and it does not give, and what it asks of them: a text tower that trains wants a loss that
    moves it, and merges that know of it."""
    members = REMEDY.validate_python(dict(remedy)).members()
    if adaptation.both:
        yield from _of_text(where, members, adaptation)
    for each in members:
        lacking = each.needs - adaptation.gives
        if lacking:
            able = [
                kind
                for kind, other in ADAPTATIONS.items()
                if issubclass(other, AdaptationSpec) and each.needs <= other.gives
            ]
            said = " and ".join(_NEEDS[need] for need in sorted(lacking))
            kind, other = kind_of(type(each)), kind_of(type(adaptation))
            yield Fault(where, f"{kind}, which needs {said}, with {other}", f"one of the adaptations {', '.join(able)}")


def clashes(where: str, trial: Trial) -> list[Fault]:
    """What the remedies of a trial cannot do on its tower, with its head and in its training."""
    if trial.head is None or trial.training is None:
        return []
    found: list[Fault] = trial.remedy.faults(vision_layers(trial.backbone), f"{where} ({trial.backbone})")
    return [*found, *trial.remedy.clashes(trial.head, trial.training, where)]


def _of_text(where: str, members: Sequence[RemedySpec], adaptation: AdaptationSpec) -> Iterator[Fault]:
    kind = kind_of(type(adaptation))
    if not any(each.trains and each.texts for each in members):
        able = ", ".join(name for name, spec in REMEDIES.items() if issubclass(spec, RemedySpec) and _moves(spec))
        told = " + ".join(kind_of(type(each)) for each in members)
        found = f"{told}, with {kind} of both towers: nothing would train the text tower"
        yield Fault(where, found, f"a remedy whose loss has texts in it: {able}", "add one, or say towers: vision")
    for each in members:
        if not each.trains and not each.texts:
            found = f"{kind_of(type(each))}, which changes the vision tower alone, with {kind} of both towers"
            yield Fault(where, found, "towers: vision, or a remedy that treats both towers alike")


def _moves(spec: type[RemedySpec]) -> bool:
    return spec.trains and spec.texts


def unwatched(where: str, remedy: Mapping[str, Any], watch: Mapping[str, Any] | None) -> Iterator[Fault]:
    """Why a remedy that decides by what the watch measures cannot be in a trial without looks."""
    if watch is not None and watch.get("points") == 0:
        for each in REMEDY.validate_python(dict(remedy)).members():
            if each.watches:
                found = f"0 with {kind_of(type(each))}, which decides by what is looked at"
                yield Fault(f"{where}.watch.points", found, "at least 1")


def allowed(message: str) -> str:
    """What pydantic says of a value, as what is expected: its own words for an error of ours and for the value left out."""
    said = message.removeprefix("Value error, ").removeprefix("Input should be ")
    return said[:1].lower() + said[1:]


_NEEDS = {"plain": "weights that merge into plain ones", "deltas": "the distance of each weight from where it started"}
