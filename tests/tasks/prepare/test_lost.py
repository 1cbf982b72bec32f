"""Tables of a partial set: rows of lost images go, and those of templates that lost all of theirs; the rest stays as it was."""

from __future__ import annotations

import pyarrow as pa

from gelo.tasks.prepare.biometric.partial_tables import without

TABLES = {
    "members": pa.table({"id": ["a", "b", "c", "d"], "template": [1, 1, 2, 3], "media": [1, 1, 2, 3]}),
    "pairs": pa.table({"template_1": [1, 1, 2], "template_2": [2, 3, 3], "same": [True, False, False]}),
    "identification": pa.table({"template": [1, 2, 3], "subject": [7, 7, 8], "role": ["probe"] * 3}),
}


def test_a_template_without_images_leaves_every_table() -> None:
    found = without(TABLES, {"b", "c"})
    assert found["members"].to_pydict() == {"id": ["a", "d"], "template": [1, 3], "media": [1, 3]}
    assert found["pairs"].to_pydict() == {"template_1": [1], "template_2": [3], "same": [False]}
    assert found["identification"]["template"].to_pylist() == [1, 3]


def test_pairs_of_images_go_by_either_side() -> None:
    pairs = {"pairs": pa.table({"id_1": ["0", "2", "4"], "id_2": ["1", "3", "5"]})}
    assert without(pairs, {"3", "4"})["pairs"].to_pydict() == {"id_1": ["0"], "id_2": ["1"]}


def test_nothing_lost_changes_nothing() -> None:
    assert without(TABLES, set()) == TABLES
