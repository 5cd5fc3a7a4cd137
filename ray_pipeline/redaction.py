"""Credentials in text, replaced by `***`. Every message, answer and traceback passes here before it leaves the process.

What counts: the login of a URI, values of parameters that are named as secrets are (signed URLs, keys, tokens), and the
values of environment variables that are named so, wherever they stand.
"""

import os
import re
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

HIDDEN = "***"
SHORTEST = 8
"""A shorter value of the environment is no secret, but may be a word of any message."""

_NAME = (
    r"(?:password|passwd|passphrase|secret|token|credential|signature|api_?-?key|access_?-?key|account_?-?key"
    r"|private_?-?key|storage_(?:master_)?key)"
)
SECRET_NAME = re.compile(rf"(?i){_NAME}|\b(?:sig|pwd|AWSAccessKeyId)(?==)")
"""Finds the name of a secret, in a key or in the query of a URI."""

# Azure's `container@account` is no login. A port is no password, and an `@` may follow in the path.
_LOGIN = re.compile(
    r"(?<=://)(?:(?<!abfs://)(?<!abfss://)[^\s/'\"<>:@]+@"
    r"|[^\s/'\"<>:]*:(?!\d{1,5}[/\s'\"])[^\s/'\"<>]*@"
    r"|[^\s/'\"<>:]*:(?!\d{1,5}[/\s'\"])[^\s'\"<>@]*@)"
)
_BARE_LOGIN = re.compile(r"(?<![\w*])[\w.%+-]{1,80}:[^\s/'\"<>@]{1,200}@(?=[\w\[])")
_PARAMETER = re.compile(
    rf"(?i)((?:\b[\w.-]{{0,40}}{_NAME}[\w.-]{{0,40}}|\b(?:sig|pwd))(?:=|%3D|['\"]: ?))(?!['\"]?\*\*\*)"
    r"""("[^"\n]*"|'[^'\n]*'|['"]?[^\s&'";,<>]+)"""
)
_COLON = re.compile(r"(?i)(\b(?:password|passwd|passphrase|(?:x-)?api-?key): ?)(?!\*\*\*)[^\s,;'\"]+")
_BEARER = re.compile(r"(?i)(\bbearer )(?=[\w.~+/-]*\d)[\w.~+/=-]{8,}")
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_HEADER = re.compile(r"(?i)(authorization['\"]?: ?['\"]?(?:(?:bearer|basic) )?)(?!bearer|basic|\*)[\w.~+/=-]+")
_VARIABLE = re.compile(rf"(?i)(?:{_NAME}|sas_?key|pgpass|_(?:pwd|pass|pat)$)(?!.*_(?:path|file|mode|name)$)")


def redacted(text: str) -> str:
    """The text without credentials.

    >>> redacted("postgresql://reader:hunter2@db:5432/mlflow did not answer")
    'postgresql://***@db:5432/mlflow did not answer'
    >>> redacted("GET https://store/rows.parquet?X-Amz-Signature=3f1a&part=1")
    'GET https://store/rows.parquet?X-Amz-Signature=***&part=1'
    """
    for secret in _secrets(tuple(os.environ.items())):
        text = text.replace(secret, HIDDEN)
    if "@" in text:
        text = _BARE_LOGIN.sub(f"{HIDDEN}@", _LOGIN.sub(f"{HIDDEN}@", text))
    text = _PEM.sub(HIDDEN, _PARAMETER.sub(_hidden, text))
    for pattern in (_HEADER, _COLON, _BEARER):
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def redacted_values(value: Any) -> Any:
    """The same lists and dicts, whose texts have no credentials.

    >>> redacted_values({"uri": ["s3://me:password@bucket"], "rows": 3})
    {'uri': ['s3://***@bucket'], 'rows': 3}
    """
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {key: redacted_values(item) for key, item in value.items()}
    return [redacted_values(item) for item in value] if isinstance(value, list) else value


def _hidden(parameter: re.Match[str]) -> str:
    """The parameter without its value, which keeps its quotes."""
    quotes = re.match("['\"]?", parameter[2])
    opening = quotes[0] if quotes else ""
    return f"{parameter[1]}{opening}{HIDDEN}{opening if parameter[2].endswith(opening) else ''}"


@lru_cache(maxsize=4)
def _secrets(environment: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """The secrets among the environment variables, also as a URI would write them; the longest first."""
    found = set[str]()
    for name, value in environment:
        passwords = [login.partition(":")[2].removesuffix("@") for login in _LOGIN.findall(value)]
        for secret in [value, *passwords] if _VARIABLE.search(name) else passwords:
            if len(secret) >= SHORTEST:
                found |= {secret, quote(secret, safe=""), unquote(secret)}
    return tuple(sorted(found, key=len, reverse=True))
