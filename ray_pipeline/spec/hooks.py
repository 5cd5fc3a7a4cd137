"""The keys `hooks` and `lineage` of a cluster file: who is told of what happens to models and runs."""

import re
import shlex
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, model_validator

from ray_pipeline.spec.environment import VARIABLE, expand
from ray_pipeline.spec.field_types import Section, path, refuse_credentials, shown

Event = Literal["registered", "refused", "revoked", "promoted"]
EVENTS: tuple[Event, ...] = get_args(Event)
SERVERS = ("http", "https")
_OPERATORS = re.compile(r"[();<>|&]+")
_NO_SHELL = "no shell reads the command, so {} has no meaning in it; write a list, as in [sh, -c, ...]"


def _words(written: object) -> object:
    """The program and its arguments: a list as it is, or a text that is cut at its spaces as a shell does."""
    if isinstance(written, list | tuple):
        if not all(isinstance(word, str) for word in written) or not written or not written[0].strip():
            raise ValueError(f"expected a program and its arguments as texts, got {shown(written)}")
        if any("\0" in word for word in written):
            raise ValueError("an argument of a program cannot hold a null character")
        return tuple(written)
    if not isinstance(written, str):
        raise ValueError(f"expected a command, got {shown(written)}; write for example [notify, team]")
    if sign := next((sign for sign in "$`" if sign in written), None):
        raise ValueError(_NO_SHELL.format(f"{sign!r}"))
    lexer = shlex.shlex(written, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError:
        raise ValueError(f"a quote is not closed in {shown(written)}") from None
    if operator := next((word for word in words if _OPERATORS.fullmatch(word)), None):
        raise ValueError(_NO_SHELL.format(f"{operator!r}"))
    return _words(words)


def _url(written: str) -> str:
    """The URL as written: variables stay. No message repeats it, because its path may be a secret."""
    expanded = _expanded(written)
    refuse_credentials(expanded)
    scheme, host = urlsplit(expanded).scheme, urlsplit(expanded).hostname
    if scheme not in SERVERS or not host:
        found = f"the scheme {scheme + '://'!r}" if scheme and scheme not in SERVERS else "a text without them"
        raise ValueError(f"expected a URL that starts with http:// or https:// and a host, got {found}")
    return written


def _lineage(written: str) -> str:
    """The URL or the path as written."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", expand(written)):
        return path(written)
    return _url(written)


def _secret(written: object) -> object:
    """The variable as written. No message repeats what was written, because it may be the secret."""
    if not isinstance(written, str) or not VARIABLE.fullmatch(written):
        raise ValueError("expected the environment variable that holds the secret; write ${env:NAME}")
    expand(written)
    return written


def _expanded(written: str) -> str:
    expanded = expand(written)
    if "${" in VARIABLE.sub("", written):
        raise ValueError("the only variables are ${env:NAME}")
    if re.search(r"[^\x21-\x7e]", expanded):
        raise ValueError("a URL has no spaces and no characters outside of ASCII")
    try:
        _ = urlsplit(expanded).port
    except ValueError:
        raise ValueError("the URL has a wrong host or port") from None
    return expanded


class Hook(Section):
    """What is done on one event: a command is run, or a URL gets a POST."""

    command: Annotated[tuple[str, ...], BeforeValidator(_words)] | None = None
    """A program with its arguments. It reads the event as JSON from its standard input; no shell is used."""
    url: Annotated[str, AfterValidator(_url)] | None = None
    """A URL that gets a POST with the event as JSON. It may have variables: `${env:NAME}`."""
    secret: Annotated[str, BeforeValidator(_secret)] | None = None
    """The environment variable with the secret that signs the POST, as `${env:NAME}`."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.command is None) == (self.url is None):
            how = "neither" if self.url is None else "both"
            raise ValueError(f"a hook takes either `command` or `url`, got {how}; write one of them")
        if self.secret is not None and self.url is None:
            raise ValueError("only a POST to a `url` is signed with `secret`; remove `secret`")
        return self


class Hooks(Section):
    """What is done when something happens to a model."""

    registered: Hook | None = None
    """A run has registered a version that passed its gates."""
    refused: Hook | None = None
    """The gates of a run that registers its model have refused it."""
    revoked: Hook | None = None
    """`evaluate --revoke` has taken an alias away from a version."""
    promoted: Hook | None = None
    """A version has become champion: by a run, by `models promote` or by `models rollback`."""


Lineage = Annotated[str, AfterValidator(_lineage)]
