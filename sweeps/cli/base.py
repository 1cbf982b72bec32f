"""What every command shares: the application, the two consoles, the options, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from gelo.models.faults import UserError
from gelo.models.secrets import secret_fault

if TYPE_CHECKING:
    from gelo.sweeps.spec.settings import Settings
    from gelo.sweeps.state.folder import SweepFolder

app = typer.Typer(
    name="gelo",
    help="What does fine-tuning a vision-language foundation model cost, and which remedy buys the most back?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
console = Console(soft_wrap=True)
errors = Console(stderr=True, soft_wrap=True)

Sweep = Annotated[str, typer.Argument(help="A preset's name (demo, mitigation, paper, ...) or a YAML file.")]
Name = Annotated[str, typer.Argument(help="The sweep's name.")]
Storage = Annotated[
    str | None,
    typer.Option(
        envvar="GELO_STORAGE", help="Where sweeps are kept: a folder or a URI such as s3://bucket/gelo. [default: out]"
    ),
]
Tracking = Annotated[
    str | None,
    typer.Option(
        envvar="GELO_TRACKING", help="MLflow: sqlite:///PATH or a server's address. [default: sqlite:///out/mlflow.db]"
    ),
]
Data = Annotated[str | None, typer.Option(envvar="GELO_DATA", help="Folder of prepared data sets. [default: out/data]")]
Cache = Annotated[
    str | None, typer.Option(envvar="GELO_CACHE", help="Folder of decoded images and embeddings. [default: out/cache]")
]
Address = Annotated[
    str | None, typer.Option(help="A Ray cluster's address, `auto` on its head node. [default: this machine alone]")
]
CacheLimit = Annotated[
    float | None,
    typer.Option(
        min=0,
        envvar="GELO_CACHE_LIMIT",
        help="Gigabytes that the cache may hold of what this run does not need. [default: 100]",
    ),
]
Cpus = Annotated[int | None, typer.Option(min=1, help="CPUs to use on this machine. [default: all]")]
Verify = Annotated[
    bool | None, typer.Option("--verify", help="Hash every shard of the data, not only those whose file changed.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]

RESUME: dict[str, str] = {}  # what an interrupted run says last


def settings_of(saved: dict[str, Any] | None = None, **given: str | int | float | None) -> Settings:
    """Defaults, then what was saved with the sweep, then what is given now. Raises UserError for an address with a secret in it."""
    from gelo.sweeps.spec.settings import Settings

    settings = Settings(**{**(saved or {}), **{key: value for key, value in given.items() if value is not None}})
    kept = {f"--{name.replace('_', '-')}": value for name, value in vars(settings).items() if isinstance(value, str)}
    faults = [fault for option, value in kept.items() if (fault := secret_fault(option, value))]
    if faults:
        raise UserError("addresses", faults)
    return settings


def folder_of(storage: str | None, name: str) -> SweepFolder:
    """The folder of a sweep, whether it is there or not."""
    from gelo.sweeps.spec.settings import placed
    from gelo.sweeps.state.folder import SweepFolder

    refuse_places(settings_of(storage=storage), reads=("storage",))
    return SweepFolder(placed(storage or "out"), name)


def refuse_places(settings: Settings, reads: tuple[str, ...] = (), writes: tuple[str, ...] = ()) -> None:
    """Raise UserError for places of `settings` that cannot be read or written to."""
    from gelo.sweeps.state.places import refuse

    refuse(settings, reads, writes)
