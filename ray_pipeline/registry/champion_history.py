"""Who is champion, since when and why: the alias `champion` and a journal of its every move, kept as a tag of the
registered model."""

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
KEPT = 200


def journal_of(model: Any) -> list[dict[str, Any]]:
    """Every move of the alias, oldest first: `action`, `from`, `to`, `who`, `when` (UTC), `why`; the last 200."""
    moves: list[dict[str, Any]] = json.loads(model.tags.get(JOURNAL, "[]"))
    return moves


def current(model: Any) -> int | None:
    """The version that bears the alias."""
    return next((int(version) for alias, version in model.aliases.items() if alias == CHAMPION), None)


def promote(client: Any, version: Any, *, force: bool, reason: str | None) -> dict[str, Any]:
    """The move, once `champion` names this version; without a move `action` is `none`.

    Raises:
        RegistryError: the version is incomplete; or it has no passed scorecard and is not forced with a reason.
    """
    model = model_of(client, version.name)
    label = f"{version.name}/{version.version}"
    if status_of(version) == "incomplete":
        raise RegistryError(
            Problem(key="MODEL", found=f"{label} is incomplete", fix=f"resume run {version.tags.get(f'{TAG}run')}")
        )
    scorecard = version.tags.get(f"{TAG}scorecard")
    if scorecard != "passed" and not (force and reason):
        found = f"the scorecard of {label} says {scorecard!r}" if scorecard else f"{label} has no scorecard"
        raise RegistryError(
            Problem(
                key="--reason" if force else "MODEL",
                found=found,
                fix="promote it all the same with --force --reason TEXT",
            )
        )
    before = current(model)
    if before == int(version.version):
        return _entry("none", before, before, reason)
    return move(
        client, model, _entry("force" if scorecard != "passed" else "promote", before, int(version.version), reason)
    )


def rollback(client: Any, name: str, *, reason: str | None) -> dict[str, Any]:
    """The move back to the champion before. Raises `RegistryError` where the journal knows of none."""
    model = model_of(client, name)
    now = current(model)
    history = _before(now, _champion_history(journal_of(model)))
    if not history:
        raise RegistryError(
            Problem(
                key="NAME",
                found=f"model {name!r} has had no champion before {f'version {now}' if now else 'now'}",
                fix="promote another version instead",
            )
        )
    return move(client, model, _entry("rollback", now, history[-1], reason))


def revoke(client: Any, version: Any, alias: str, *, reason: str) -> dict[str, Any]:
    """The move that took the alias away; nobody bears it until somebody is promoted."""
    entry = {**_entry("revoke", int(version.version), None, reason), "alias": alias}
    if alias == CHAMPION:
        model = model_of(client, version.name)
        client.set_registered_model_tag(model.name, JOURNAL, json.dumps([*journal_of(model), entry][-KEPT:]))
    client.delete_registered_model_alias(version.name, alias)
    return entry


def move(client: Any, model: Any, entry: dict[str, Any]) -> dict[str, Any]:
    """Writes the journal, then moves the alias: a move that was cut off is on record, never the other way round."""
    client.set_registered_model_tag(model.name, JOURNAL, json.dumps([*journal_of(model), entry][-KEPT:]))
    client.set_registered_model_alias(model.name, CHAMPION, str(entry["to"]))
    return entry


def set_champion(client: Any, name: str, version: int, alias: str) -> None:
    """Gives a version just registered its alias; `champion` with an entry in the journal."""
    model = model_of(client, name)
    if alias != CHAMPION:
        client.set_registered_model_alias(name, alias, str(version))
    elif current(model) != version:
        move(client, model, _entry("register", current(model), version, None))


def _champion_history(journal: list[dict[str, Any]]) -> list[int]:
    """The champions that no rollback has undone, oldest first."""
    history: list[int] = []
    for entry in journal:
        if entry["action"] == "rollback":
            history = _before(entry["from"], history)
        if entry["action"] == "revoke" and history[-1:] == [entry["from"]]:
            del history[-1]
            continue
        for version in (entry["from"], entry["to"]) if entry["action"] != "rollback" else (entry["to"],):
            if version is not None and history[-1:] != [version]:
                history.append(version)
    return history


def _before(version: int | None, history: list[int]) -> list[int]:
    """The reign without its last entry of this version and what follows it."""
    return history[: len(history) - 1 - history[::-1].index(version)] if version in history else history


def _entry(action: str, before: int | None, after: int | None, reason: str | None) -> dict[str, Any]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    who = f"{user}@{socket.gethostname()}"
    return {
        "action": action,
        "from": before,
        "to": after,
        "who": who,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "why": reason,
    }
