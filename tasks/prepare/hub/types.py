"""Which Arrow types can be an image and which a label, and how a type is said."""

from __future__ import annotations

from typing import Any, TypeAlias

import pyarrow as pa
from pyarrow import types

BYTES, PATH = "bytes", "path"  # fields of the struct that `datasets` keeps an image in
Type: TypeAlias = Any  # pyarrow.DataType


def is_bytes(kind: Type) -> bool:
    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)


def is_text(kind: Type) -> bool:
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def is_list(kind: Type) -> bool:
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def is_cell(kind: Type) -> bool:
    """Whether a type is that of an Image feature: a struct of bytes, path, or both."""
    fields = {field.name: field.type for field in kind} if types.is_struct(kind) else {}
    bytes_fit = BYTES not in fields or is_bytes(fields[BYTES]) or types.is_null(fields[BYTES])
    path_fits = PATH not in fields or is_text(fields[PATH]) or types.is_null(fields[PATH])
    return bool(fields) and set(fields) <= {BYTES, PATH} and bytes_fit and path_fits


def no_image(kind: Type) -> str:
    """Why a column of this type cannot be read as images; "" where it can."""
    kind = stored(kind)
    if is_cell(kind) or is_bytes(kind) or is_text(kind):
        return ""
    depth = 0
    while is_list(kind):
        kind, depth = kind.value_type, depth + 1
    if depth in (2, 3) and kind == pa.uint8():
        return ""
    return f"arrays of {kind} in {depth} dimensions" if depth else f"of type {kind}"


def no_label(kind: Type) -> str:
    """Why a column of this type cannot be read as one class a row; "" where it can."""
    kind = stored(kind)
    if types.is_dictionary(kind):
        kind = kind.value_type
    if is_list(kind):
        return "several labels a row"
    plain = types.is_integer(kind) or types.is_boolean(kind) or types.is_null(kind)
    return "" if plain or is_text(kind) or is_bytes(kind) else f"of type {kind}"


def stored(kind: Type) -> Type:
    """A type that others defined, as it is stored."""
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
