"""What remedies are shown, looked at: a split that is there, images enough, and none that is scored under another name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from gelo.models.faults import Fault
from gelo.models.words import counted
from gelo.sweeps.spec.shown import SCORED, Shown
from gelo.tasks.data.contents import is_known, shared
from gelo.tasks.data.defined import reads_of
from gelo.tasks.data.manifest import Dataset
from gelo.tasks.data.understood import Leak


@dataclass(frozen=True)
class _Side:
    """A split by what its data set holds."""

    dataset: Dataset = field(compare=False)
    split: str
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fingerprint", f"{self.dataset.root} {self.dataset.fingerprint}")


@lru_cache(maxsize=1024)
def _shared(scored: _Side, shown: _Side) -> Leak | None:
    """Compared once a process: of sets of millions it takes seconds."""
    return shared(scored.dataset, scored.split, shown.dataset, shown.split)


def shown_faults(
    shown: Iterable[Shown], pairs: Sequence[tuple[str, str]], there: Mapping[str, Dataset]
) -> Iterator[Fault]:
    """What keeps remedies from being shown these splits, of the data sets that are there. pairs: (data set, protocol) that are scored.

    Images are compared byte for byte (tasks/data/contents.py); those that merely look alike are told with each result (`leak`). A set that
    an older gelo prepared cannot be compared, which each result tells as well.
    """
    scored = dict.fromkeys(
        (name, split)
        for name, protocol in pairs
        if name in there and is_known(there[name])
        for split, _ in reads_of(protocol, there[name])
        if split in SCORED
    )
    for each in shown:
        dataset = there.get(each.dataset)
        if dataset is None:
            continue
        counts = dataset.card.counts()
        if each.split not in counts:
            free = [split for split in counts if split not in SCORED]
            remedy = f"name {' or '.join(f'{each.dataset}/{split}' for split in free)}" if free else "name another set"
            yield Fault(each.where, f"{each.dataset} has no split {each.split}", "a split that is there", remedy)
            continue
        if counts[each.split] < each.batch:
            found, expected = (
                f"{each.place}: {counted(counts[each.split], 'image')}",
                f"at least the {each.batch:,} of a batch",
            )
            yield Fault(each.where, found, expected, "make `batch` smaller, or name more images")
        if is_known(dataset):
            leaks = (
                _shared(_Side(there[name], split), _Side(dataset, each.split))
                for name, split in scored
                if name != each.dataset
            )
            for leak in filter(None, leaks):
                remedy = "take these images out and prepare the set anew (gelo prepare --replace), or name another"
                yield Fault(each.where, str(leak), "no image that is scored", remedy)
