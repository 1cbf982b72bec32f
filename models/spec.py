"""`Spec`: a frozen description, and the one form of it that keys and fingerprints are made of."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field


class Spec(BaseModel):
    """Base of transforms, adaptations, remedies, heads, training and trials."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def canonical(self) -> dict[str, Any]:
        """Its fields as JSON takes them, at every depth without those that joined later and stand at their default: a key or a
        fingerprint of before there was such a field stays what it was.
        """
        own = self.model_dump(mode="json")
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value == field.default and (field.json_schema_extra or {}) == _JOINED:
                del own[name]
            elif isinstance(value, Spec):
                own[name] = value.canonical()
            elif isinstance(value, tuple) and any(isinstance(each, Spec) for each in value):
                own[name] = [each.canonical() for each in value]
        return own


class Member(Spec):
    """One of a family of specs that are told apart by `kind`: each gives it as a literal of its own, and as the default.

    version: raised by hand when the same fields end on other numbers than before, so that what was trained before is refused.
    """

    version: ClassVar[int] = 1
    kind: str


_JOINED = {"joined": True}


def joined(default: Any, **options: Any) -> Any:
    """A pydantic field that a spec has not had from the start."""
    return Field(default, json_schema_extra=dict(_JOINED), **options)
