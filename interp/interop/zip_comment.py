"""What a torch file of ours says of itself in the comment of its zip archive, where no reader of tensors stumbles over it.

A HookedTransformer's state dict has no place for a step or an activation function, and must have none: it is loaded strictly.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

_OURS = "interp"


def with_comment(data: bytes, facts: Mapping[str, object]) -> bytes:
    """The bytes of a torch file with facts in its comment."""
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = json.dumps({_OURS: dict(facts)}, sort_keys=True).encode()
    return buffer.getvalue()


def comment_of(path: Path) -> dict[str, object]:
    """The facts in a torch file's comment; empty if there are none of ours."""
    try:
        with zipfile.ZipFile(path) as archive:
            told = json.loads(archive.comment)
    # Damaged bytes fail in any way; the reader of tensors says what is wrong with them.
    except Exception:
        return {}
    facts = told.get(_OURS) if isinstance(told, dict) else None
    return facts if isinstance(facts, dict) else {}
