"""What a notebook gives, as the commands take it: settings, specs, names."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gelo.models.faults import Fault, UserError

if TYPE_CHECKING:
    from gelo.sweeps.spec.settings import Settings
    from gelo.sweeps.spec.sweep import SweepSpec
    from gelo.sweeps.terminal.progress import Display


_ENVIRONMENT = {
    "storage": "GELO_STORAGE", "tracking": "GELO_TRACKING", "data": "GELO_DATA", "cache": "GELO_CACHE", "cache_limit": "GELO_CACHE_LIMIT",
}  # fmt: skip


def settings_from(**given: Any) -> Settings:
    """As the command line makes them. Raises UserError."""
    from gelo.sweeps.cli.base import settings_of

    for name, variable in _ENVIRONMENT.items():
        if name in given and given[name] is None and os.environ.get(variable):
            given[name] = os.environ[variable]
    limit = given.get("cache_limit")
    try:
        given |= {} if limit is None else {"cache_limit": _not_negative(limit)}
    except ValueError:
        raise UserError("settings", Fault("cache_limit", repr(limit), "gigabytes, 0 or more")) from None
    cpus = given.get("cpus")
    if cpus is not None and (not isinstance(cpus, int) or cpus < 1):
        raise UserError("settings", Fault("cpus", repr(cpus), "a whole number, 1 or more"))
    paths: dict[str, Any] = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    return settings_of(None, **paths)


def _not_negative(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]
    if not number >= 0:
        raise ValueError(value)
    return number


def listed_names(names: str | Sequence[str]) -> tuple[str, ...]:
    """A text is names with commas between them, as options have them."""
    return tuple(name for name in names.split(",") if name) if isinstance(names, str) else tuple(names)


def display_of(show: bool, *, out: bool = False) -> Display:
    from rich.console import Console

    from gelo.sweeps.terminal.progress import Display

    return Display(Console(stderr=not out, soft_wrap=True, quiet=not show))


def refuse_device(device: str) -> None:
    """Raise UserError for a device that torch does not know, or that is not on this machine."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        found = (str(error).splitlines() or [""])[0]
        raise UserError("device", Fault(device, found, "a device of this machine, such as cpu or cuda")) from None


def spec_of(sweep: str | Path | Mapping[str, Any] | SweepSpec, overrides: Mapping[str, Any]) -> SweepSpec:
    """Checked, whatever it came as. Raises UserError."""
    from gelo.sweeps.spec.sweep import SweepSpec, load_spec, parse_spec

    if isinstance(sweep, str | Path):
        return load_spec(str(sweep), tuple(f"{key}={json.dumps(plain(value))}" for key, value in overrides.items()))
    if overrides:
        raise UserError("run", Fault("overrides", "given with a mapping", "none: a mapping says all itself"))
    raw = sweep.model_dump(mode="json") if isinstance(sweep, SweepSpec) else plain(sweep)
    return parse_spec(raw, f"sweep {raw['name']}" if isinstance(raw, Mapping) and "name" in raw else "sweep")


def plain(value: Any) -> Any:
    """Specs as a sweep's YAML writes them: `{lora: {rank: 8}}`, only what was given; tuples as lists."""
    from gelo.models.remedies import Stack
    from gelo.models.spec import Member

    if isinstance(value, Stack):
        return [[plain(each) for each in value.remedies]]
    if isinstance(value, Member):
        given = {name: plain(getattr(value, name)) for name in value.model_fields_set if name != "kind"}
        return {value.kind: given} if given else value.kind
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):  # of remedies, a list in a list is several at once
        return [plain(each)[0] if isinstance(each, Stack) else plain(each) for each in value]
    return value
