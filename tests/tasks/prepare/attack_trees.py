"""Miniature morphs and spoofs written as labs keep the real ones: images in folders, CSVs in the publishers' form beside them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from gelo.tasks.data.records import Record
from gelo.tasks.mini import morphs, spoofs
from gelo.tasks.mini.face_model import person
from gelo.tasks.mini.worlds.canvas import generator

MAD22 = {  # as MADation calls its files; how many morphs of each stand in the miniature
    "FaceMorpher": 3, "MIPGAN_I": 2, "MIPGAN_II": 2, "OpenCV": 3, "Webmorph": 2, "MorDIFF": 4,
}  # fmt: skip
BONA_FIDE = 4
ELSEWHERE = "/workspace/FaceMAD"  # absolute folders of the machine on which CSVs were written


@cache
def photograph(kind: str, number: int) -> bytes:
    """The n-th miniature of a kind (bona_fide, warp, blend), PNG."""
    rng = generator("attack_trees", kind, number)
    one, other = person("morphs", "tree", number), person("morphs", "tree", number + 1)
    picture = morphs.bona_fide(one, rng) if kind == "bona_fide" else getattr(morphs, kind)(one, other, rng)
    return morphs.png(picture)


@cache
def frames(split: str, domains: str, subjects: int) -> tuple[Record, ...]:
    """The first subjects of each domain of the miniature spoofs, five videos of three frames each."""
    each = len(spoofs.PRESENTATIONS) * spoofs.FRAMES
    return tuple(
        record
        for domain in domains
        for record, _ in zip(spoofs._split(split, domain), range(subjects * each), strict=False)
    )


def put(path: Path, image: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(image)


def table(path: Path, rows: Iterable[str], header: str = "image_path,label") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def mad22(root: Path, written: str = ELSEWHERE) -> None:
    """`Protocols/<attack>.csv`, rows shuffled as the script of MADation leaves them: bona fide after the attacks here."""
    for n in range(BONA_FIDE):
        put(root / "bonafide" / f"{n:03d}_03.png", photograph("bona_fide", n))
    genuine = [f"{written}/bonafide/{n:03d}_03.png,bonafide" for n in range(BONA_FIDE)]
    for attack, count in MAD22.items():
        for n in range(count):
            put(root / attack / f"M_{n}_{n + 1}.png", photograph("blend" if "MIPGAN" in attack else "warp", n))
        table(
            root / "Protocols" / f"{attack}.csv",
            [*(f"{written}/{attack}/M_{n}_{n + 1}.png,attack" for n in range(count)), *genuine],
        )


def smdd(root: Path) -> None:
    """`train.csv` at the top, a blank after each comma as in SMDD's readme, paths from its own folder."""
    for n in range(5):
        put(root / "o25k_t" / f"img{n:06d}.png", photograph("bona_fide", n))
    for n in range(3):
        put(root / "m15k_t" / f"morphed_img{n}_img{n + 1}.png", photograph("warp", n))
    table(
        root / "train.csv",
        [f"o25k_t/img{n:06d}.png, bonafide" for n in range(5)]
        + [f"m15k_t/morphed_img{n}_img{n + 1}.png, attack" for n in range(3)],
    )


def _frame(root: Path, record: Record, domain: str) -> str:
    """Write `<domain>/<subject>/<subject>_<presentation>_<k>.png`; the stem says nothing without its last number."""
    _, subject, presentation = record.id.split("/")
    path = f"{domain}/{subject}/{subject}_{presentation}.png"
    put(root / path, record.image)
    return f"{path}, {'bonafide' if record.label else 'attack'}"


def oulu_casia_msu(root: Path) -> None:
    names = {"a": "oulu_npu", "b": "casia_fasd", "c": "msu_mfsd"}
    table(
        root / "cross_domain_cropface" / "ocm_i" / "train.csv",
        [_frame(root, record, names[str(record.columns["domain"])]) for record in frames("train", "abc", 1)],
    )


def celeba_spoof(root: Path) -> None:
    table(
        root / "cross_domain_cropface" / "mco_ca" / "test.csv",
        [_frame(root, record, "Data/test") for record in frames("test", "d", 2)],
    )


def spoof_folders(root: Path) -> None:
    for split in ("train", "dev", "test"):
        for record in frames(split, "ab", 1):
            domain, subject, presentation = record.id.split("/")
            kind, _, rest = presentation.rpartition("_")[0].rpartition("_")
            put(root / split / domain / kind / f"{subject}_{rest}" / f"{presentation[-1]}.png", record.image)
