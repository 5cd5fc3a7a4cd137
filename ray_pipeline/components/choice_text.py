"""How a spec writes a choice and its parameters: `word`, `word(parameter=value)` or `{word: {parameter: value}}`."""

import ast
import json
import math
import unicodedata
import warnings
from collections.abc import Mapping
from keyword import iskeyword
from typing import Any

MAX_CHARACTERS = 1_000
_CONSTANTS = {"true": True, "false": False, "null": None}


def read_choice(written: object) -> tuple[str, dict[str, Any]]:
    """The word and the parameters of a choice, from any of the three forms.

    Raises
    ------
    ValueError
        The value has none of the three forms.

    >>> read_choice("f_beta(beta=2)")
    ('f_beta', {'beta': 2})
    >>> read_choice({"f_beta": {"beta": 2}})
    ('f_beta', {'beta': 2})
    """
    if isinstance(written, str):
        return _read_call(written) if "(" in written else (written.strip(), {})
    if not isinstance(written, Mapping) or len(written) != 1:
        raise ValueError(f"expected a name or {{name: {{parameter: value}}}}, got {written!r}")
    ((word, parameters),) = written.items()
    if not isinstance(parameters, Mapping | None):
        raise ValueError(f"expected the parameters of {word!r} as a mapping, got {parameters!r}")
    return str(word), {str(name): value for name, value in (parameters or {}).items()}


def write_choice(word: str, parameters: Mapping[str, Any]) -> str:
    """The canonical text: parameters sorted by name, no spaces, numbers as short as they can be.

    >>> write_choice("f_beta", {"beta": 2.0, "average": "macro"})
    'f_beta(average=macro,beta=2)'
    """
    pairs = ",".join(f"{name}={_text(value)}" for name, value in sorted(parameters.items()))
    return f"{word}({pairs})" if pairs else word


def _read_call(written: str) -> tuple[str, dict[str, Any]]:
    """The same of a text with parameters. It has the form of a call in Python, and is parsed, never run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of texts that look like Python, but are none
            call = ast.parse(written[:MAX_CHARACTERS].strip(), mode="eval").body
        words = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
        unchanged = all(word in written for word in words)  # Python normalises names: a ligature would become letters
        if isinstance(call, ast.Call) and not call.args and unchanged:
            found = {pair.arg: _value(pair.value) for pair in call.keywords if pair.arg}
            if len(found) == len(call.keywords):
                return ast.unparse(call.func), found
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    raise ValueError(f"{written!r} is no choice with parameters; write name(parameter=value,other=value)")


def _value(node: ast.expr) -> Any:
    """A number, a text, or a list or mapping of them. A bare word is a text."""
    if isinstance(node, ast.Name):
        return _CONSTANTS.get(node.id, node.id)
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        return {str(_value(key)): _value(item) for key, item in zip(node.keys, node.values, strict=True) if key}
    value = ast.literal_eval(node)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{ast.unparse(node)} is too large for a number")
    return value


def _text(value: Any) -> str:
    if isinstance(value, str) and value not in _CONSTANTS and _is_name(value):
        return value
    if isinstance(value, Mapping):
        pairs = (f"{json.dumps(name, ensure_ascii=False)}:{_text(item)}" for name, item in value.items())
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    whole = isinstance(value, float) and value.is_integer()
    return json.dumps(int(value) if whole else value, ensure_ascii=False)


def _is_name(text: str) -> bool:
    """Whether Python's parser reads the text as a name, and as the same text."""
    return text.isidentifier() and not iskeyword(text) and unicodedata.normalize("NFKC", text) == text
