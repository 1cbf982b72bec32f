"""`OnReference`: what remedies have in common that are shown general images beside the task's."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from gelo.models.remedies.base import RemedySpec


class OnReference(RemedySpec):
    """reference: the general images that it may see, "data set/split" ("train" where no split is named), or in a sweep's file a folder,
    "./photos"; never a test split, nor a set that the sweep scores (docs/protocols.md)."""

    reference: str = Field(default="reference/train", min_length=1)

    def data(self) -> Mapping[str, str]:
        """See RemedySpec."""
        return {"reference": self.reference}
