"""Morphing and presentation attacks as their publishers list them, and a user's own. Label 1 = bona fide, 0 = attack.

Class names are the prompts of the papers' text baselines (gurayozgur/MADation and gurayozgur/FoundPAD, pdf/), asked as they stand.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath

from gelo.models.faults import Fault, unknown
from gelo.tasks.prepare.biometric.attack_lists import SPLITS, Row, csvs, layout, misnamed, plain, read_listing, role
from gelo.tasks.prepare.biometric.videos import as_frames, in_folders
from gelo.tasks.prepare.formats.columns import told
from gelo.tasks.prepare.layout import Layout
from gelo.tasks.prepare.names import MORPH_CLASSES, SPOOF_CLASSES
from gelo.tasks.prepare.splits import role_of
from gelo.tasks.prepare.tree import Tree
from gelo.tasks.protocols.detection import UNNAMED

SMDD = {1: 25_000, 0: 15_000}  # by label: the SMDD paper
BONA_FIDE_IMAGES = 204  # with SYN-MAD 2022's morphs, whose number its readme states; MorDIFF came later
SYN_MAD_MORPHS = 4_483
# by attack, as the decimals of published tables imply: told beside a wrong sum, not checked
MORPHS = {"FaceMorpher": 1_000, "MIPGAN_I": 1_000, "MIPGAN_II": 999, "OpenCV": 984, "Webmorph": 500, "MorDIFF": 1_000}
_PROTOCOLS = ("", "Protocols")  # where MADation and FoundPAD keep their CSVs
_SMDD_CSV = "smdd_train_cropped"  # beside the six of the test in MADation's folder


def smdd(tree: Tree) -> Layout:
    """SMDD: `train.csv`, MADation's `smdd_train_cropped.csv` or the only CSV; its morphs were made with OpenCV."""
    found = csvs(tree, *_PROTOCOLS)
    chosen = [file for file in found if PurePosixPath(file).stem in ("train", _SMDD_CSV)] or found
    if len(chosen) != 1:
        tree.fault(tree.root, f"{len(chosen)} CSVs: {told(chosen, len(chosen))}" if chosen else "no CSV", "train.csv")
        return Layout(MORPH_CLASSES, {})
    rows = read_listing(tree, chosen[0], "train", "opencv")
    count = Counter(row.label for row in rows)
    for label, what in ((1, "bona fide images"), (0, "morphs")):
        if count[label] != SMDD[label]:
            tree.fault(tree.root / chosen[0], f"{count[label]:,} {what}", f"{SMDD[label]:,}")
    return layout(tree, rows, MORPH_CLASSES, "morph")


def mad22(tree: Tree) -> Layout:
    """SYN-MAD 2022 and MorDIFF: six CSVs, each one attack and the same 204 bona fide images, which become one item each.

    Checked: the six are there and no other, one bona fide set, and the sums that the readme states.
    """
    listings: dict[str, list[Row]] = {}
    found = csvs(tree, *_PROTOCOLS)
    names = {plain(name): name for name in MORPHS}
    for file in found:
        stem = PurePosixPath(file).stem
        if names.get(plain(stem)) in listings:
            tree.fault(tree.root / file, f"another CSV of {names[plain(stem)]}", "one CSV for each of the six attacks")
        elif plain(stem) in names:
            listings[names[plain(stem)]] = read_listing(tree, file, "test", names[plain(stem)])
        elif stem != _SMDD_CSV:
            tree.faults.append(unknown(str(tree.root / file), stem, MORPHS, "morphing attack"))
    home = tree.root / (posixpath.dirname(found[0]) if found else "")
    tree.faults += [
        Fault(str(home / f"{name}.csv"), "missing", "one CSV for each of the six attacks")
        for name in MORPHS
        if name not in listings
    ]
    rows = _merged(tree, listings, listings)
    genuine = sum(row.label for row in rows)
    if genuine != BONA_FIDE_IMAGES:
        tree.fault(home, f"{genuine:,} bona fide images", f"{BONA_FIDE_IMAGES}")
    counts = {name: sum(not row.label for row in listings.get(name, ())) for name in MORPHS}
    syn_mad = sum(count for name, count in counts.items() if name != "MorDIFF")
    if syn_mad != SYN_MAD_MORPHS:
        each = ", ".join(f"{name} {counts[name]:,} of {n:,}" for name, n in MORPHS.items() if name != "MorDIFF")
        tree.fault(home, f"{syn_mad:,} morphs without MorDIFF's ({each})", f"{SYN_MAD_MORPHS:,}")
    return layout(tree, rows, MORPH_CLASSES, "morph")


def morphs(tree: Tree) -> Layout:
    """A user's own: `train.csv`, `test.csv`; or, for the test, MAD22's form of one CSV an attack, called as the attack is.

    A CSV that is called as some split (`training.csv`) is a fault, never an attack, unless `--split` says which it is.
    """
    found = csvs(tree, *_PROTOCOLS)
    if not found:
        tree.fault(tree.root, "no CSV", "train.csv, test.csv, or one CSV for each attack")
    stems = {PurePosixPath(file).stem: file for file in found}
    splits = {stem: split for stem in stems if (split := role(tree, stem)) is not None}
    by_attack = sorted(stems.keys() - splits.keys())
    for stem in [stem for stem in by_attack if role_of(stem) is not None]:
        by_attack.remove(stem)
        tree.fault(
            tree.root / stems[stem],
            f"called as a list of the {role_of(stem)} split is",
            "train.csv, test.csv, or the name of an attack",
            f"rename it, or --split {stem}={role_of(stem)}",
        )
    if "test" in splits.values() and by_attack:
        tree.fault(
            tree.root, f"test.csv beside {told(by_attack, len(by_attack))}", "test.csv, or one CSV for each attack"
        )
        by_attack = []
    for stem in list(by_attack):
        if wrong := misnamed(stem):
            by_attack.remove(stem)
            tree.fault(tree.root / stems[stem], *wrong, "rename the file: an attack is called as its CSV is")
    listings = {stem: read_listing(tree, stems[stem], "test", stem) for stem in by_attack}
    listings |= {stem: read_listing(tree, stems[stem], split, "morph") for stem, split in splits.items() if split}
    for stem in [stem for stem, split in splits.items() if not split]:
        tree.leave(stems[stem], "left out by --split")
    return layout(tree, _merged(tree, listings, by_attack), MORPH_CLASSES, "morph")


def pad_train(tree: Tree) -> Layout:
    """OULU-NPU, CASIA-FASD and MSU-MFSD: `train.csv`, at the top or as CF-PAD keeps it; a `dev.csv` beside it is split dev.

    Domain: column `domain`, else the first folder below the tree's root. Attacks without a column `attack` are `attack`, their instrument
    unknown, here and in `pad_test` and `spoofs`; ACER is then undefined.
    """
    rows = _cross_domain(tree, "train", "ocm_i")
    return _spoofs(tree, rows, lambda row: row.id.split("/")[0] if "/" in row.id else "oulu_casia_msu", published=True)


def pad_test(tree: Tree) -> Layout:
    """CelebA-Spoof: `test.csv`, at the top or as CF-PAD keeps it; the images of a `dev.csv` beside it choose the threshold."""
    return _spoofs(tree, _cross_domain(tree, "test", "mco_ca"), lambda row: "celeba_spoof", published=True)


def spoofs(tree: Tree) -> Layout:
    """A user's own: `train.csv`, `dev.csv`, `test.csv`, or one CSV with a column `split`; else the folders of `in_folders`.

    One CSV alone is of the split that its name says, else test. Without a column `domain` all presentations are of one domain, `all`.
    """
    found = csvs(tree, *_PROTOCOLS)
    if not found:
        return _spoofs(tree, in_folders(tree), lambda row: row.columns["domain"])
    listings: dict[str, list[Row]] = {}
    for file in found:
        stem = PurePosixPath(file).stem
        split = role(tree, stem)
        if split is None and len(found) == 1:
            split = {None: "test", "val": "dev"}.get(role_of(stem), role_of(stem))
        if split is None:
            tree.faults.append(unknown(str(tree.root / file), stem, SPLITS, "split"))
        elif split:
            listings[stem] = read_listing(tree, file, split, UNNAMED)
        else:
            tree.leave(file, "left out by --split")
    return _spoofs(tree, _merged(tree, listings), lambda row: "all")


def _cross_domain(tree: Tree, split: str, setting: str) -> list[Row]:
    inside = f"cross_domain_cropface/{setting}"
    places = ("", setting, inside, f"Protocols/{inside}")
    found = [place for place in places if (tree.root / place / f"{split}.csv").is_file()]
    if len(found) != 1:
        there = f"{split}.csv in {told(found, len(found))}" if found else f"no {split}.csv"
        tree.fault(tree.root, there, f"one, at the top or in {inside}")
        return []
    listings = {
        name: read_listing(tree, posixpath.join(found[0], f"{name}.csv"), name, UNNAMED)
        for name in (split, "dev")
        if name == split or (tree.root / found[0] / "dev.csv").is_file()
    }
    return _merged(tree, listings)


def _spoofs(tree: Tree, rows: list[Row], domain_of: Callable[[Row], str], *, published: bool = False) -> Layout:
    frames, notes = as_frames(tree, rows, domain_of, published=published)
    return layout(tree, frames, SPOOF_CLASSES, "spoof", ("attack", "video", "domain"), tuple(filter(None, notes)))


def _merged(tree: Tree, listings: dict[str, list[Row]], by_attack: Iterable[str] = ()) -> list[Row]:
    """The rows of several CSVs; those of one split share their bona fide images. Images with two meanings are faults and left out.

    by_attack: the CSVs that hold a test of one attack each, whose bona fide images must be the same.
    """
    rows: dict[str, Row] = {}
    by: dict[str, str] = {}
    apart: dict[str, str] = {}
    for name, listing in listings.items():
        for row in listing:
            known = rows.setdefault(row.id, row)
            if known == row and (row.label or by.get(row.id, name) == name):
                by.setdefault(row.id, name)
            else:
                apart[row.id] = f"{row.id} ({by[row.id]}: {_meaning(known)}; {name}: {_meaning(row)})"
    if apart:
        tree.fault(
            tree.root,
            f"{len(apart):,} images in two CSVs as different things: {told(list(apart.values()), len(apart))}",
            "each image in one split, as bona fide or as one attack",
        )
    sets = {name: {row.id for row in listings[name] if row.label} for name in by_attack}
    shared = set().union(*sets.values())
    for name, ids in sets.items():
        if lacking := sorted(shared - ids):
            found = f"lacks {len(lacking):,} bona fide images of the other CSVs: {told(lacking, len(lacking))}"
            tree.fault(f"{tree.root}: {name}.csv", found, "the same bona fide images beside every attack")
    return [row for identity, row in rows.items() if identity not in apart]


def _meaning(row: Row) -> str:
    return ", ".join((row.split, *row.columns.values()))
