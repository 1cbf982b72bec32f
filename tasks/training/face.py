"""Face recognition: identities, CosFace. Paper values: TaharChettaoui/FRoundation: config/config.py (docs/protocols.md, 1-5)."""

from __future__ import annotations

from gelo.models.heads import CosFace
from gelo.tasks.training.base import Gain, Task, Validation
from gelo.tasks.training.validation import identities, verification

_VERIFICATION = tuple(f"fr/{name}/accuracy" for name in ("lfw", "cfp_fp", "agedb_30", "calfw", "cplfw"))

TASK = Task(
    name="faces",
    suite="fr",
    data={"miniature": "faces", "paper": "ms1mv2"},
    head=CosFace(scale=64.0, margin=0.3),
    defaults={
        "miniature": {
            "epochs": 5, "batch": 32, "lr_backbone": 3e-4, "lr_head": 1e-2, "weight_decay": 0.05, "clip": 5.0,
            "schedule": "cosine", "warmup_epochs": 1, "sampler": "shuffled", "augment": "flip",
        },
        "paper": {
            "epochs": 40, "batch": 512, "lr_backbone": 1e-4, "lr_head": 1e-4, "weight_decay": 0.05, "clip": 5.0,
            "schedule": "cosine_restarts", "warmup_epochs": 5, "sampler": "shuffled", "augment": "rand_augment",
        },
    },
    lora={
        "miniature": {"rank": 16, "alpha": 16.0, "dropout": 0.0, "rslora": True, "targets": ["q", "v"]},
        "paper": {"rank": 16, "alpha": 16.0, "dropout": 0.25, "rslora": True, "targets": ["q", "v"]},
    },
    by_adaptation={"miniature": {"lora": {"lr_backbone": 3e-3}}},  # how the miniature rates were chosen: docs/demo.md
    gain={
        "miniature": Gain(("fr/pairs/accuracy",), ("fr/pairs/accuracy",)),
        "paper": Gain(_VERIFICATION, _VERIFICATION),
    },
    question="How much verification accuracy does training on faces gain?",
    validation=Validation("fr/validation/accuracy", identities, verification, data={"miniature": "faces_val/val"}),
)  # fmt: skip
