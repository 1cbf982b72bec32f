"""The biometric sets: reader, counts by split and where the download lives. Facts: docs/biometrics.md.

A count that no publisher states is left out: it cannot be checked. Licences are notes, not advice: the publisher's page decides.
"""

from __future__ import annotations

from functools import partial

from gelo.tasks.prepare.biometric.attacks import mad22, pad_test, pad_train, smdd
from gelo.tasks.prepare.biometric.identities import identities
from gelo.tasks.prepare.biometric.ijb import ijb
from gelo.tasks.prepare.biometric.pairs import verification
from gelo.tasks.prepare.general.official import Official

_ZOO = "insightface, dataset zoo (faces_webface_112x112 or faces_emore)"
_FACES = "web images of faces, non-commercial research"
_FRAMES = "no publisher states how many frames it has, so their number was not checked"


def _pairs(name: str, pairs: int) -> Official:
    return Official(
        name, partial(verification, name=name), 0, {"test": 2 * pairs}, f"{_ZOO}: {name}.bin", "70-170 MB", _FACES
    )


BIOMETRIC: dict[str, Official] = {
    official.name: official
    for official in (
        _pairs("lfw", 6_000),
        _pairs("cfp_fp", 7_000),
        _pairs("agedb_30", 6_000),
        _pairs("calfw", 6_000),
        _pairs("cplfw", 6_000),
        Official(
            "ijbb", partial(ijb, target="ijbb"), 0, {"test": 227_630}, "NIST, IJB-B; handed out until March 2023, so your own copy",
            "12 GB", "by agreement with NIST",
        ),
        Official(
            "ijbc", partial(ijb, target="ijbc"), 0, {"test": 469_375}, "NIST, IJB-C; handed out until March 2023, so your own copy",
            "25 GB", "by agreement with NIST",
        ),
        Official("ms1mv2", identities, 85_742, {"train": 5_822_653}, f"{_ZOO.replace('webface', 'emore')}", "16 GB", _FACES),
        Official("casia_webface", identities, 10_572, {"train": 490_623}, _ZOO, "2.9 GB", _FACES),
        Official("webface4m", identities, 205_990, {"train": 4_235_242}, "WebFace260M project, WebFace4M", "50 GB", "by agreement"),
        Official(
            "smdd", smdd, 2, {"train": 40_000}, "Fraunhofer IGD, SMDD (Damer 2022)", "2 GB", "non-commercial research, by request",
        ),
        Official("mad22", mad22, 2, {}, "SYN-MAD 2022 and MorDIFF (Huber 2022, Damer 2023)", "1 GB", "by request"),
        Official(
            "oulu_casia_msu", pad_train, 2, {}, "OULU-NPU, CASIA-FASD, MSU-MFSD; frames as CF-PAD lists them", "20 GB", "by agreement",
            unchecked=_FRAMES,
        ),
        Official(
            "celeba_spoof", pad_test, 2, {}, "CelebA-Spoof project, its test images as CF-PAD lists them", "70 GB",
            "non-commercial research", unchecked=_FRAMES,
        ),
    )
}  # fmt: skip
