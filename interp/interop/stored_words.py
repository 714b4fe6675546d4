"""Words for operations and activations as other people write them, and what they are here."""

from __future__ import annotations

import re

from interp.networks.shapes import ACTIVATIONS

_OPERATIONS = {
    "add": ("addition", "sum", "plus", "+", "a+b"),
    "subtract": ("sub", "subtraction", "minus", "difference", "-", "a-b"),
    "multiply": ("mul", "mult", "multiplication", "times", "product", "*", "a*b"),
    "x2xyy2": ("a2abb2", "a^2+ab+b^2", "a**2+ab+b**2", "a**2+a*b+b**2", "a^2+a*b+b^2"),
    # Operations that no model is imported as. They are known, so that their models are not taken for those of addition.
    "divide": ("div", "division", "/", "a/b", "quotient"),
    "rand": ("random",),
}
_OURS = {word: ours for ours, words in _OPERATIONS.items() for word in (ours, *words)}
_LAMBDA = re.compile(r"^lambda[a-z,]*:")
_MODULUS = re.compile(r"(%|_?mod(ulo)?_?)\(?([pn]|\d+)\)?$")
_MODULAR = re.compile(r"^mod(ular|ulo)?_?(arithmetic_?)?|_?mod(ulo)?$")
# A name, perhaps with modules before it and an empty call after it, or as Python shows a class or a function.
_NAME = re.compile(
    r"^(?:<(?:class|function) '?)?(?:\w+\.)*(\w+)(?:\((?:inplace=\w+|approximate=['\"]none['\"])?\))?(?:'?>| at 0x[0-9a-f]+>)?$"
)
_NOTHING = frozenset({"", "none", "null", "nil", "default", "auto"})
_ACT_WORD = re.compile(r"(?:^|_)(act|activation|nonlin|nonlinearity)(?:_|fn|func|fun|name|type|layer|\d|$)", re.IGNORECASE)


def operation_in(value: object) -> str | None:
    """The operation that a word or a formula names, in any of the usual spellings; None if it names none that is known.

    >>> operation_in("Modular Addition"), operation_in("(a+b) % p"), operation_in("x*y mod 97"), operation_in("grokking")
    ('add', 'add', 'multiply', None)
    """
    if not isinstance(value, str) or len(value) > 100:
        return None
    text = _LAMBDA.sub("", re.sub(r"\s+", "", value.lower()).replace("x[0]", "a").replace("x[1]", "b"))
    bare = _MODULUS.sub("", text)
    forms = [one for whole in (text, bare) for one in (whole, _MODULAR.sub("", whole))]
    return next((_OURS[form] for one in forms for form in (one, _of_letters(one)) if form in _OURS), None)


def activation_in(value: object) -> object:
    """The name of an activation without the modules before it and a call after it; anything else as it is.

    >>> activation_in("torch.nn.ReLU"), activation_in("nn.GELU()"), activation_in("GELU(approximate='tanh')")
    ('relu', 'gelu', "GELU(approximate='tanh')")
    """
    match = _NAME.match(value) if isinstance(value, str) else None
    return match[1].lower() if match is not None and match[1].lower() in ACTIVATIONS else value


def says_nothing(value: object) -> bool:
    """Whether the value of a field for an activation names none: a switch, or a word for nothing in particular.

    >>> says_nothing("None"), says_nothing(False), says_nothing("gelu"), says_nothing("silu")
    (True, True, False, False)
    """
    return not isinstance(value, str) or value.strip().lower() in _NOTHING


def is_of_activation(name: str) -> bool:
    """Whether the name of a field has a word for activation in it.

    >>> is_of_activation("mlp_act_kind"), is_of_activation("factor"), is_of_activation("active")
    (True, False, False)
    """
    return _ACT_WORD.search(name) is not None


def _of_letters(text: str) -> str:
    """A formula in a and b, without brackets around the whole of it: ``(x+y)`` is ``a+b``."""
    inner = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    return inner.translate(str.maketrans("xy", "ab"))
