"""Items -> records whose images decode: every image is opened once, under the set's reading rule, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice

from gelo.models.faults import Fault
from gelo.tasks.data.manifest import CHUNK
from gelo.tasks.data.pixels import UNREADABLE, check_image, image_fault
from gelo.tasks.data.records import Record
from gelo.tasks.data.understood import Reading
from gelo.tasks.prepare.layout import Item

_AT_ONCE = 8 * CHUNK
_FIRST = 64  # images looked at before anything is known of their size
_BYTES = 48_000_000  # encoded images held at once, about
_SMALL = 16_384  # bytes of an image below which threads are slower than none


@dataclass
class Lost:
    """What keeps a set from being whole: every fault, and the ids of the images that could not be read."""

    faults: list[Fault]
    ids: set[str] = field(default_factory=set)


def checked(
    items: Sequence[Item], numbered: bool, lost: Lost, reading: Reading, tick: Callable[[int], None]
) -> Iterator[Record]:
    """Records of the images that decode; the others become faults in `lost`. Duplicates are passed once.

    Threads decode, but not small images: there all that they would do is wait for each other's hold of Python's lock.
    """
    once = iter(items) if numbered else iter({item.id: item for item in items}.values())
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        size, spread = _FIRST, False
        while group := list(islice(once, size)):
            each = -(-len(group) // (4 * threads)) if spread else len(group)
            handfuls = [group[start : start + each] for start in range(0, len(group), each)]
            seen = 0
            for record in chain.from_iterable((pool.map if spread else map)(partial(_records, reading), handfuls)):
                if isinstance(record, tuple):
                    lost.ids.add(record[0])
                    lost.faults.append(record[1])
                else:
                    seen += len(record.image)
                    yield record
            tick(len(group))
            mean = max(1, seen // len(group))
            size, spread = max(4, min(_AT_ONCE, _BYTES // mean)), mean > _SMALL


def _records(reading: Reading, items: list[Item]) -> list[Record | tuple[str, Fault]]:
    return [_record(item, reading) for item in items]


def _record(item: Item, reading: Reading) -> Record | tuple[str, Fault]:
    try:
        data = item.load()
        check_image(data, reading)
    except UNREADABLE as error:
        return item.id, image_fault(item.where, error)
    return Record(item.id, data, item.label, item.columns, item.at)
