"""A sweep as a job of a cluster: Ray's job API takes the project, runs `gelo run` beside the cluster's head and keeps what it prints."""

from __future__ import annotations

import asyncio
import logging
import shlex
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_message,
    retry_if_exception_type,
    stop_after_delay,
    wait_fixed,
    wait_random_exponential,
)

from gelo.models.faults import Fault, UserError, unknown
from gelo.models.secrets import redacted

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

SWEEP = "gelo.sweep"  # in a job's metadata
LEFT_HERE = (
    ".git", ".venv", "venv", "out", "site", "**/__pycache__", "**/*.egg-info", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis",
)  # fmt: skip
SAVES = 600  # seconds that a job which is told to stop has for its checkpoints
STARTS = 120.0  # seconds that a cluster which has just been started may take until it takes jobs
PATIENCE = 300.0  # seconds that a cluster may not answer while a job is followed
_TOLD = 3  # attempts after which a silence is said
_YOUNG = "(?s).*No available agent"  # what the job server answers until then
_OVER = ("SUCCEEDED", "FAILED", "STOPPED")
_START = "start one (docs/cluster.md), or open a way to it: `ray dashboard cluster.yaml`, then --address http://127.0.0.1:8265"


@dataclass(frozen=True)
class Job:
    """One job of gelo's. state: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED, as Ray says it; code: exit code of `gelo run`, None before
    its end or where it was killed; message: what Ray says of its end."""

    id: str
    sweep: str
    state: str
    code: int | None = None
    message: str = ""

    @property
    def over(self) -> bool:
        return self.state in _OVER


class Jobs:
    """gelo's jobs on the cluster whose dashboard is at `address` (http://HOST:8265). Raises UserError where nothing answers there."""

    def __init__(self, address: str) -> None:
        from ray.job_submission import JobSubmissionClient

        for name in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging"):
            logging.getLogger(f"ray.{name}").setLevel(logging.WARNING)  # they tell the user of their requests
        self.address = redacted(address)
        with self._answered():
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
                raise ValueError("no address of a dashboard")
            self.client: JobSubmissionClient = JobSubmissionClient(address)

    def all(self) -> list[Job]:
        """The oldest first."""
        with self._answered():
            found = [each for each in self.client.list_jobs() if SWEEP in (each.metadata or {})]
        return [_job(each) for each in sorted(found, key=lambda each: each.start_time or 0)]

    def find(self, name: str | None) -> Job:
        """The job of an id or of a sweep's name, of several the last; without a name the only one that runs. Raises UserError."""
        jobs = self.all()
        if name is None:
            running = [job for job in jobs if not job.over] or jobs[-1:]
            if len(running) == 1:
                return running[0]
            told = ", ".join(f"{job.id} ({job.sweep})" for job in running) or "none"
            raise UserError("jobs", Fault(self.address, f"jobs of gelo: {told}", "one to choose", "name it"))
        chosen = [job for job in jobs if name in (job.id, job.sweep)]
        if not chosen:
            known = [word for job in jobs for word in (job.id, job.sweep)]
            raise UserError("jobs", unknown(self.address, name, list(dict.fromkeys(known)), "job"))
        return chosen[-1]

    def submit(self, sweep: str, name: str, options: Sequence[str], own: Sequence[str], project: Path | None) -> Job:
        """Start `gelo run sweep options` on the cluster. sweep: a preset's name or a file; name: the sweep's own; own: options whose value
        the cluster's environment has to have (--storage: GELO_STORAGE); project: a folder whose files go along, code in it before what
        the cluster has installed. Raises UserError, also while a job of this sweep runs."""
        before = [job for job in self.all() if job.sweep == name and not job.over]
        if before:
            fault = Fault(self.address, f"job {before[0].id} runs it", "one job a sweep", f"gelo attach {before[0].id}")
            raise UserError(f"sweep {name}", fault)
        variables = {option: f"GELO_{option.strip('-').upper()}" for option in own}
        theirs = [
            f'{option} "${{{name}:?is not set on the cluster; say {option}}}"' for option, name in variables.items()
        ]
        return self.start(["run", sweep, "--address", "auto", *options], name, sweep, project, theirs)

    def start(
        self,
        words: Sequence[str],
        name: str,
        sweep: str | None,
        project: Path | None = None,
        theirs: Sequence[str] = (),
    ) -> Job:
        """Have the cluster's head run `gelo words`. sweep: see `submit`, as it stands in words; theirs: what
        the cluster's shell is to read behind them. Raises UserError."""
        chosen = f"gelo-{name}-{uuid.uuid4().hex[:6]}"
        with _shipped(sweep or "", project) as (folder, given):
            command = ["python", "-m", "gelo", *(given if word == sweep else word for word in words)]
            environment: dict[str, Any] = {
                "env_vars": {"PYTHONUNBUFFERED": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(SAVES)}
            }
            if folder is not None:
                environment |= {"working_dir": str(folder), "excludes": list(LEFT_HERE)}
            young = Retrying(
                retry=retry_if_exception_message(match=_YOUNG),
                stop=stop_after_delay(STARTS),
                wait=wait_fixed(2),
                reraise=True,
            )
            with self._answered():
                young(
                    self.client.submit_job,
                    entrypoint=" ".join([shlex.join(command), *theirs]),
                    submission_id=chosen,
                    runtime_env=environment,
                    metadata={SWEEP: name},
                )
        return Job(chosen, name, "PENDING")

    def follow(self, job: Job, write: Callable[[str], None], say: Callable[[str], None]) -> Job:
        """Write what the job has printed and prints, to its end; the job as it ended. A line that breaks is taken up where it was, for
        `PATIENCE` seconds. Raises UserError after that."""
        told = 0
        while not (now := self._now(job.id, say)).over or told < len(self._logs(job.id)):
            told = asyncio.run(self._tail(job.id, told, write))
        return now

    def stop(self, job: Job) -> bool:
        """Tell it to save and end, as Ctrl-C does; False where it was over. It has `SAVES` seconds."""
        with self._answered():
            return bool(self.client.stop_job(job.id))

    async def _tail(self, job: str, told: int, write: Callable[[str], None]) -> int:
        """Write from the `told`th character on; how many there were when the line broke or the job ended."""
        seen = 0
        try:
            async for text in self.client.tail_job_logs(job):
                fresh = text[max(0, told - seen) :]
                seen += len(text)
                if fresh:
                    write(fresh)
        except (RuntimeError, OSError):
            await asyncio.sleep(1)
        return max(told, seen)

    def _logs(self, job: str) -> str:
        with self._answered():
            return str(self.client.get_job_logs(job))

    def _now(self, job: str, say: Callable[[str], None]) -> Job:
        def silent(state: RetryCallState) -> None:
            if state.attempt_number == _TOLD:
                say(f"{self.address} does not answer; the job goes on without it")

        again = Retrying(
            retry=retry_if_exception_type(OSError),
            stop=stop_after_delay(PATIENCE),
            wait=wait_random_exponential(multiplier=0.5, max=15),
            before_sleep=silent,
            reraise=True,
        )
        with self._answered():
            return again(lambda: _job(self.client.get_job_info(job)))

    @contextmanager
    def _answered(self) -> Iterator[None]:
        from ray.exceptions import RayError

        try:
            yield
        except OSError as error:
            found = _first(error)
            raise UserError(
                "jobs", Fault(f"--address {self.address}", found, "a Ray cluster's dashboard", _START)
            ) from None
        except (RuntimeError, ValueError, RayError) as error:  # what the job server answers, or what cannot be packed
            raise UserError(
                "jobs", Fault(f"--address {self.address}", _first(error), "http://HOST:8265, where jobs are taken")
            ) from None


@contextmanager
def _shipped(sweep: str, project: Path | None) -> Iterator[tuple[Path | None, str]]:
    """(folder that goes along, what the sweep is called from within it): the project, else a file alone; a preset needs none."""
    file = Path(sweep)
    if not file.is_file():
        yield project, sweep
        return
    if project is not None:
        inside = (
            file.resolve().relative_to(project.resolve()) if file.resolve().is_relative_to(project.resolve()) else None
        )
        if inside is None:
            fault = Fault(
                sweep, f"outside of {project}", "a file of the project", "move it there, or choose another --project"
            )
            raise UserError("submit", fault)
        yield project, inside.as_posix()
        return
    with tempfile.TemporaryDirectory(prefix="gelo-submit-") as scratch:
        copy = Path(scratch) / file.name
        copy.write_bytes(file.read_bytes())
        yield Path(scratch), file.name


def _job(found: JobDetails) -> Job:
    told: Mapping[str, str] = found.metadata or {}
    state, code = str(getattr(found.status, "value", found.status)), found.driver_exit_code
    message = str(found.message or "").partition(", last available logs")[0]  # they were followed
    return Job(str(found.submission_id), told.get(SWEEP, ""), state, code, redacted(message))


def _first(error: Exception) -> str:
    lines = [line.strip() for line in redacted(str(error)).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
