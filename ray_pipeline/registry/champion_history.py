"""Who is champion, since when and why: the alias `champion`, and a journal of its moves in a tag of the model."""

import getpass
import json
import os
import socket
from datetime import UTC, datetime
from typing import Any

from ray_pipeline.errors import Problem, RegistryError
from ray_pipeline.registry.versions import TAG, model_of, status_of

CHAMPION = "champion"
JOURNAL = f"{TAG}journal"
MAX_MOVES = 200

Move = dict[str, Any]


def user_name() -> str:
    """The name of the user that runs this process, or the user's number where a container gives no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def journal_of(model: Any) -> list[Move]:
    """Return the moves of the alias, oldest first, at most the last 200.

    A move has `action` (`register`, `promote`, `force`, `rollback` or `revoke`), `from` and `to` (version numbers or
    None), `who`, `when` (UTC) and `why`.

    Raises
    ------
    RegistryError
        Another program has written something else into the tag.
    """
    try:
        moves: list[Move] = json.loads(model.tags.get(JOURNAL, "[]"))
        if all({"action", "from", "to"} <= move.keys() for move in moves):
            return moves
    except (AttributeError, TypeError, ValueError):
        pass
    found = f"the tag {JOURNAL} of model {model.name!r} is no journal of moves: {model.tags[JOURNAL][:60]!r}"
    raise RegistryError(Problem(key="MODEL", found=found, fix="restore the tag, or delete it to begin a new journal"))


def champion_version(model: Any) -> int | None:
    """Return the number of the version that has the alias `champion`."""
    return next((int(version) for alias, version in model.aliases.items() if alias == CHAMPION), None)


def promote(client: Any, version: Any, *, force: bool, reason: str | None) -> Move:
    """Make a version champion and return the move; `action` is `none` if it is champion already.

    Raises
    ------
    RegistryError
        The version is incomplete; or its scorecard has not passed, and `force` and `reason` are not both given.
    """
    model = model_of(client, version.name)
    label = f"{version.name}/{version.version}"
    if status_of(version) == "incomplete":
        raise RegistryError(
            Problem(key="MODEL", found=f"{label} is incomplete", fix=f"resume run {version.tags.get(f'{TAG}run')}")
        )
    scorecard = version.tags.get(f"{TAG}scorecard")
    if scorecard != "passed" and not (force and reason):
        raise RegistryError(
            Problem(
                key="--reason" if force else "MODEL",
                found=f"the scorecard of {label} says {scorecard!r}" if scorecard else f"{label} has no scorecard",
                fix="to promote it anyway, give --force --reason TEXT",
            )
        )
    before, number = champion_version(model), int(version.version)
    if before == number:
        return _move("none", before, number, reason)
    return _set_alias(client, model, _move("promote" if scorecard == "passed" else "force", before, number, reason))


def rollback(client: Any, name: str, *, reason: str | None) -> Move:
    """Make the champion before the present one champion again, and return the move."""
    model = model_of(client, name)
    return _set_alias(client, model, _move("rollback", champion_version(model), earlier_champion(model), reason))


def earlier_champion(model: Any) -> int:
    """Return the number of the champion before the present one.

    Raises
    ------
    RegistryError
        The journal has none.
    """
    name, now = model.name, champion_version(model)
    history = _history(journal_of(model), now)
    earlier = history if now is None else history[:-1]
    if not earlier:
        raise RegistryError(
            Problem(
                key="NAME",
                found=f"model {name!r} has had no champion before {f'version {now}' if now else 'now'}",
                fix="promote another version instead",
            )
        )
    return earlier[-1]


def revoke(client: Any, version: Any, alias: str, *, reason: str) -> Move:
    """Take an alias away from a version and return the move; only moves of `champion` are kept in the journal."""
    move = {**_move("revoke", int(version.version), None, reason), "alias": alias}
    if alias == CHAMPION:
        _write_journal(client, model_of(client, version.name), move)
    client.delete_registered_model_alias(version.name, alias)
    return move


def set_champion(client: Any, name: str, version: int, alias: str) -> None:
    """Give a version that was just registered its alias; `champion` with an entry in the journal."""
    model = model_of(client, name)
    if alias != CHAMPION:
        client.set_registered_model_alias(name, alias, str(version))
    elif champion_version(model) != version:
        _set_alias(client, model, _move("register", champion_version(model), version, None))


def _history(journal: list[Move], now: int | None) -> list[int]:
    """The champions that no rollback and no revocation has undone, oldest first; the last is `now`, if there is one."""
    before: list[int] = []
    history: list[int] = []
    for move in journal:
        before = _ending_with(move["from"], history, before)
        undone = move["action"] in ("rollback", "revoke") and move["from"] is not None
        history = _ending_with(move["to"], before[:-1] if undone else before, [])
    return _ending_with(now, history, before)


def _ending_with(version: int | None, history: list[int], before: list[int]) -> list[int]:
    """The history whose last champion is this version.

    If it is not the last one, either the last move was interrupted between journal and alias (then the history `before`
    that move ends with the version), or another program moved the alias.
    """
    if version is None or history[-1:] == [version]:
        return history
    return before if before[-1:] == [version] else [*history, version]


def _set_alias(client: Any, model: Any, move: Move) -> Move:
    """Write the journal, then the alias: an interrupted move may be in the journal only, never in the alias only."""
    _write_journal(client, model, move)
    client.set_registered_model_alias(model.name, CHAMPION, str(move["to"]))
    return move


def _write_journal(client: Any, model: Any, move: Move) -> None:
    client.set_registered_model_tag(model.name, JOURNAL, json.dumps([*journal_of(model), move][-MAX_MOVES:]))


def _move(action: str, before: int | None, after: int | None, reason: str | None) -> Move:
    return {
        "action": action,
        "from": before,
        "to": after,
        "who": f"{user_name()}@{socket.gethostname()}",
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "why": reason,
    }
