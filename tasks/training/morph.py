"""Morphing attack detection: bona fide against morphs. Paper values: gurayozgur/MADation (docs/protocols.md, 1-5)."""

from __future__ import annotations

from gelo.models.heads import Binary
from gelo.tasks.training.base import Gain, Task, Validation
from gelo.tasks.training.validation import balanced, detection

TASK = Task(
    name="morphs",
    suite="mad",
    data={"miniature": "morphs", "paper": "smdd"},
    head=Binary(),
    defaults={
        "miniature": {
            "epochs": 6, "batch": 32, "lr_backbone": 1e-4, "lr_head": 1e-2, "weight_decay": 0.05, "clip": 5.0,
            "schedule": "constant", "warmup_epochs": 0, "sampler": "shuffled", "augment": "flip",
        },
        "paper": {
            "epochs": 40, "batch": 256, "lr_backbone": 1e-5, "lr_head": 1e-4, "weight_decay": 0.05, "clip": 5.0,
            "schedule": "constant", "warmup_epochs": 0, "sampler": "shuffled", "augment": "flip",
            "preprocess": "morph",
        },
    },
    lora={
        "miniature": {"rank": 8, "alpha": 8.0, "dropout": 0.0, "rslora": True, "targets": ["q", "v"]},
        "paper": {"rank": 2, "alpha": 4.0, "dropout": 0.4, "rslora": True, "targets": ["q", "v"]},
    },
    by_adaptation={"miniature": {"lora": {"lr_backbone": 3e-3}}},  # how the miniature rates were chosen: docs/demo.md
    gain=dict.fromkeys(("miniature", "paper"), Gain(("mad/mean/eer",), ("mad_text/mean/eer",))),
    question="How much does a morph detector gain on text prompts (mean EER, lower is better)?",
    validation=Validation(
        "mad/validation/one_minus_eer", balanced, detection, detector=True, data={"miniature": "morphs_val/val"}
    ),
)  # fmt: skip
