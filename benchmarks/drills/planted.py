"""Secrets in every variable, through a whole life of a sweep that succeeds and fails: `python -m benchmarks.drills.planted`.

Two machines with tokens, results in S3, MLflow on PostgreSQL, a secret of its own in each variable that holds one. Then they are looked for
in all that was printed, all files (Ray's logs and sockets' folders among them), every object in S3 and every row of MLflow's database.
The addresses' options have their own test: tests/e2e/test_secrets.py.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import tempfile
from pathlib import Path

from upath import UPath

from benchmarks.drills.sweep import LIMIT, run
from benchmarks.drills.world import Said, World, world
from benchmarks.line import note

VARIABLES = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "MLFLOW_TRACKING_PASSWORD", "PGPASSWORD", "HF_TOKEN"),
    *("WANDB_API_KEY", "GITHUB_TOKEN", "AZURE_STORAGE_ACCESS_KEY", "GELO_SECRET", "DATABASE_PASSWORD"),
)
RAY = Path("/tmp/ray")  # where Ray keeps the logs of its processes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="prepared sets; made where nothing is said")
    asked = parser.parse_args()
    planted = {name: f"planted-{secrets.token_hex(12)}" for name in VARIABLES}
    with tempfile.TemporaryDirectory(prefix="gelo-drill-") as scratch:
        folder = Path(scratch)
        with world(folder, (asked.data or folder / "data").absolute(), folder / "cache") as here:
            os.environ |= planted  # before the machines start: their workers see them too
            here.s3()
            here.mlflow()
            assert here.database is not None
            planted["PGPASSWORD"] = here.database.password  # of MLflow's server, which needs it
            here.environment |= planted | {"MLFLOW_TRACKING_USERNAME": "somebody"}
            here.ray()
            planted["RAY_AUTH_TOKEN"] = here.environment["RAY_AUTH_TOKEN"]
            said = [*lived(here), *failed(here)]
            found = [f"{name} printed by {' '.join(each.words)}" for each in said for name in held(each.text, planted)]
            found += [f"{name} in {path}" for path in _files(folder, RAY) for name in held(_read(path), planted)]
            for path in UPath(here.storage).rglob("*"):
                if path.is_file():
                    found += [f"{name} in {path}" for name in held(path.read_bytes().decode("latin-1"), planted)]
            dump = here.database.client("pg_dump", "mlflow")
            found += [f"{name} in MLflow's database" for name in held(dump, planted)]
    looked = {
        "commands": len(said),
        "codes": [each.process.returncode for each in said],
        "rows of the dump": dump.count("\n"),
    }
    print(json.dumps({"drill": "planted", "secrets": len(planted), **looked, "found": len(found), "where": found[:20]}))


def lived(here: World) -> list[Said]:
    """A sweep and what is asked of it."""
    said = [run(here, "life")]
    code = said[0].wait(LIMIT)
    assert code == 0, said[0].text
    places = ("--storage", here.storage)
    key = next(iter((UPath(here.storage) / "life" / "trials").iterdir())).name
    for line in (
        f"resume life --address {here.cluster.address}", "status life", "status life --json", f"logs life {key}", "report life",
        "ls", "clean life", f"export life/{key} --to away", f"evaluate life/{key} --dataset shapes",
    ):  # fmt: skip
        said.append(Said(here, *line.split(), *places))
        note(f"{line}: {said[-1].wait(LIMIT)}")
    for line in ("plan life.yaml", f"doctor --address {here.cluster.address}", "show shapes", "cache"):
        said.append(Said(here, *line.split()))
        note(f"{line}: {said[-1].wait(LIMIT)}")
    return said


def failed(here: World) -> list[Said]:
    """Commands whose servers are away, whose spec is none, whose sweep is unknown."""
    (here.folder / "bad.yaml").write_text("name: bad\nbackbones: [$HF_TOKEN]\ntasks: 3\n")
    places = ("--storage", here.storage, "--tracking", here.tracking)
    said: list[Said] = []

    def ask(*words: str) -> None:
        said.append(Said(here, *words, GELO_STORAGE_DEADLINE="5"))
        note(f"{' '.join(words)}: {said[-1].wait(LIMIT)}")

    ask("run", "bad.yaml", *places)
    ask("status", "nobody", "--storage", here.storage)
    ask("run", "life.yaml", "--storage", "s3://nobody/there")
    for server in ("mlflow", "s3"):
        here.strike(server)
        ask("resume", "life", "--storage", here.storage, "--address", here.cluster.address)
        ask("report", "life", "--storage", here.storage)
        here.back(server)
    return said


def held(text: str, planted: dict[str, str]) -> list[str]:
    return [name for name, value in planted.items() if value in text]


def _files(*folders: Path) -> list[Path]:
    return [path for folder in folders if folder.exists() for path in folder.rglob("*") if path.is_file()]


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("latin-1")
    except OSError:  # it went meanwhile
        return ""


if __name__ == "__main__":
    main()
