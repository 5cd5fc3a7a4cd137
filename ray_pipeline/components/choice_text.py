"""How a spec writes a choice and its parameters: `word`, `word(parameter=value)` or `{word: {parameter: value}}`."""

import json
import re
from collections.abc import Mapping
from typing import Any

_CALL = re.compile(r"([^\s()]+)\((.*)\)", re.DOTALL)
_KEY = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*")
_BARE = re.compile(r"[^\s,()\"]+")
_END = re.compile(r"\s*(,|$)")
_WORD = re.compile(r"(?!(?:true|false|null)$)[A-Za-z_][\w.-]*")


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
        call = _CALL.fullmatch(written.strip())
        return (call[1], _parameters(written, call[2])) if call else (written.strip(), {})
    if isinstance(written, Mapping) and len(written) == 1:
        ((word, parameters),) = written.items()
        if parameters is None or isinstance(parameters, Mapping):
            return str(word), {str(name): value for name, value in (parameters or {}).items()}
        raise ValueError(f"expected the parameters of {word!r} as a mapping, got {parameters!r}")
    raise ValueError(f"expected a name or {{name: {{parameter: value}}}}, got {written!r}")


def write_choice(word: str, parameters: Mapping[str, Any]) -> str:
    """The canonical text: parameters sorted by name, no spaces, numbers as short as they can be.

    >>> write_choice("f_beta", {"beta": 2.0, "average": "macro"})
    'f_beta(average=macro,beta=2)'
    """
    pairs = ",".join(f"{name}={_text(value)}" for name, value in sorted(parameters.items()))
    return f"{word}({pairs})" if pairs else word


def _parameters(written: str, inside: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    place = 0
    while place < len(inside.rstrip()):
        key = _KEY.match(inside, place)
        value, place = _value(inside, key.end()) if key else (None, place)
        end = _END.match(inside, place)
        if key is None or end is None or key[1] in found:
            raise ValueError(f"{written!r} is no choice with parameters; write name(parameter=value,other=value)")
        found[key[1]], place = value, end.end()
    return found


def _value(inside: str, start: int) -> tuple[Any, int]:
    """The value that starts there, and where it ends; a bare word is a text."""
    if inside[start : start + 1] in ("[", "{", '"'):
        try:
            value, end = json.JSONDecoder().raw_decode(inside, start)
            return _as_tuples(value), end
        except ValueError:
            return None, start
    bare = _BARE.match(inside, start)
    if bare is None:
        return None, start
    try:
        return json.loads(bare[0], parse_constant=str), bare.end()
    except ValueError:
        return bare[0], bare.end()


def _as_tuples(value: Any) -> Any:
    """The value with its lists as tuples, as a spec file is read."""
    if isinstance(value, dict):
        return {name: _as_tuples(inner) for name, inner in value.items()}
    return tuple(_as_tuples(inner) for inner in value) if isinstance(value, list) else value


def _text(value: Any) -> str:
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return json.dumps(_short(value), ensure_ascii=False, separators=(",", ":"))


def _short(value: Any) -> Any:
    """The value with whole numbers as integers: 2 for 2.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {name: _short(inner) for name, inner in value.items()}
    return [_short(inner) for inner in value] if isinstance(value, list | tuple) else value
