"""The kinds of adaptations, remedies and heads by name, and whether they go together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from gelo.models import adapt, heads, remedies
from gelo.models.adapt.base import AdaptationSpec
from gelo.models.backbones.registry import vision_layers, vision_width
from gelo.models.faults import Fault
from gelo.models.members import kind_of
from gelo.models.spec import Spec

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
    """What of the adaptation a backbone's tower does not have: a block, a width."""
    return [
        *adaptation.faults(vision_layers(backbone), where),
        *adaptation.faults_of_width(vision_width(backbone), where),
    ]


def unmet(
    where: str, remedy: Mapping[str, Any], adaptation: AdaptationSpec, backbones: Iterable[str]
) -> Iterator[Fault]:
    """What the remedies ask of the adaptation and it does not give, and of the towers of these backbones."""
    made = REMEDY.validate_python(dict(remedy))
    for backbone in backbones:
        yield from made.faults(vision_layers(backbone), f"{where} ({backbone})")
    for each in made.members():
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


_NEEDS = {"plain": "weights that merge into plain ones", "deltas": "the distance of each weight from where it started"}
