"""Presentation attack detection: bona fide against spoofs. Paper values: gurayozgur/FoundPAD (docs/protocols.md, 1-5)."""

from __future__ import annotations

from gelo.models.heads import Binary
from gelo.tasks.training.base import Gain, Task, Validation
from gelo.tasks.training.validation import balanced, detection

TASK = Task(
    name="spoofs",
    suite="pad",
    data={"miniature": "spoofs", "paper": "oulu_casia_msu"},
    head=Binary(),
    defaults={
        "miniature": {
            "epochs": 6, "batch": 32, "lr_backbone": 1e-4, "lr_head": 1e-2, "weight_decay": 0.05, "clip": 5.0,
            "schedule": "constant", "warmup_epochs": 0, "sampler": "class_balanced", "augment": "flip",
        },
        "paper": {
            "epochs": 40, "batch": 512, "lr_backbone": 1e-6, "lr_head": 1e-3, "weight_decay": 0.05, "clip": 5.0,
            "schedule": "constant", "warmup_epochs": 0, "sampler": "class_balanced", "augment": "spoof",
            "preprocess": "spoof",
        },
    },
    lora={
        "miniature": {"rank": 8, "alpha": 8.0, "dropout": 0.0, "rslora": True, "targets": ["q", "v"]},
        "paper": {"rank": 8, "alpha": 8.0, "dropout": 0.4, "rslora": True, "targets": ["q", "v"]},
    },
    by_adaptation={"miniature": {"lora": {"lr_backbone": 3e-3}}},  # how the miniature rates were chosen: docs/demo.md
    gain=dict.fromkeys(("miniature", "paper"), Gain(("pad/mean/hter",), ("pad_text/mean/hter",))),
    question="How much does a spoof detector gain on text prompts (mean HTER, lower is better)?",
    validation=Validation(
        "pad/validation/one_minus_eer", balanced, detection, detector=True, data={"miniature": "spoofs_val/val"}
    ),
)  # fmt: skip
