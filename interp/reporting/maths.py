"""Formulas in the plain notation of `interp.observing.definitions`, set as HTML: indices and powers, Greek letters, signs."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

# Plain notation and the sign for it, longest first where one begins another; the text is already escaped.
_SIGNS = (
    (r"&lt;=", "≤"), (r"&gt;=", "≥"), (r"!=", "≠"), (r"\|\|", "‖"), (r"&lt; (?=logits)", "⟨ "), (r" &gt;,", " ⟩,"),
    (r"\bsqrt\(", "√("), (r"\bsum(?=_)", "Σ"), (r"\bpi\b", "π"), (r"\balpha(?![a-z])", "α"), (r"\bbeta(?![a-z])", "β"),
    (r"\bepsilon(?= in)", "ε"),
    (r"(?<![a-z])rho(?![a-z])", "ρ"), (r"(?<![a-z])chi(?![a-z])", "χ"),
    (r"\bfloor\(([^()]*)\)", r"⌊\1⌋"), (r"(?<=\)) x (?=\{)", " × "), (r"\bp x p\b", "p × p"),
    (r"(?<= )-(?= )", "−"), (r" \. (?=MLP)", " · "), (r"\.\.\.", "…"),
)  # fmt: skip
# An index or a power: a braced group, a bracketed one, or one word.
_RAISED = re.compile(r"([_^])(\{[^{}]*\}|\([^()]*\)|[\w+]+?(?=[_^]|\b))")
_SYMBOL = re.compile(r"(?<![\w&;])([A-Za-zαβχ])(?=[_^])")


def typeset(text: str) -> Markup:
    """A line of a formula as HTML; everything in it is escaped.

    >>> typeset("e^{2 pi i j k / p} <= w_k^2")
    Markup('<i>e</i><sup>2 π i j k / p</sup> ≤ <i>w</i><sub>k</sub><sup>2</sup>')
    """
    safe = str(escape(text))
    for plain, sign in _SIGNS:
        safe = re.sub(plain, sign, safe)
    return Markup(_RAISED.sub(_raised, _SYMBOL.sub(r"<i>\1</i>", safe)))


def _raised(match: re.Match[str]) -> str:
    tag = "sub" if match[1] == "_" else "sup"
    return f"<{tag}>{match[2].removeprefix('{').removesuffix('}')}</{tag}>"
