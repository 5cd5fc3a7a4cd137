"""The hooks of a cluster file: a command or a POST for each event of a model."""

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_pipeline.errors import listed
from ray_pipeline.events.delivery import Undelivered, beside, body_of, execute, failure_of, post, warn
from ray_pipeline.registry.champion_history import CHAMPION
from ray_pipeline.spec.environment import expand
from ray_pipeline.spec.hooks import Event, Hook
from ray_pipeline.spec.where import Where

if TYPE_CHECKING:
    from ray_pipeline.runs.context import Run
    from ray_pipeline.runs.release import Release

DEADLINE_S = 30.0
"""A hook that is not done by then is given up; a command is killed."""
SIGNATURE = "X-Ray-Pipeline-Signature"


def tell(where: Where, event: Event, facts: Mapping[str, Any]) -> None:
    """Tell the hook of an event; a failure is a warning, never an error.

    Parameters
    ----------
    where
        The cluster file.
    event
        What happened.
    facts
        What is known of it. `event`, `id` (the same in each repetition) and `time` (UTC) are added.
    """
    hook: Hook | None = getattr(where.hooks, event)
    if hook is None:
        return
    head = {"event": event, "id": uuid.uuid4().hex, "time": datetime.now(UTC).isoformat(timespec="milliseconds")}
    if failure := _failure(hook, body_of({**head, **facts}), where.folder):
        warn(f"the hook of `{event}` failed: {failure}")


def tell_move(where: Where, event: Event, name: str, version: int, move: Mapping[str, Any]) -> None:
    """Tell the hook of a move of an alias.

    Parameters
    ----------
    where
        The cluster file.
    event
        `promoted` or `revoked`.
    name
        The registered model.
    version
        The number of the version that got or lost the alias.
    move
        The entry of the model's journal.
    """
    alias, why = move.get("alias", CHAMPION), f": {move['why']}" if move.get("why") else ""
    what = f"is {alias} now" if event == "promoted" else f"has lost the alias {alias}"
    version_of = {"name": name, "model": f"models:/{name}/{version}", "version": version, "alias": alias}
    tell(where, event, {"text": f"{name}: version {version} {what}{why}", **version_of, **move})


def tell_release(run: "Run", release: "Release") -> None:
    """Tell the hooks how a run has ended; nothing where its spec registers no model."""
    registration = run.spec.registration
    if not registration or release.status == "unregistered":
        return
    name, passed = run.spec.name, release.status == "registered"
    alias = registration.alias if passed else None
    failed = listed(gate["gate"] for gate in release.gates if not gate["passed"])
    text = f"{name}: version {release.version} is registered" if passed else f"{name}: refused because of {failed}"
    tell(run.where, release.status, {"text": text, "name": name, "alias": alias, **release.as_json()})
    move = run.promotion or ({"action": "register", "to": release.version} if alias == CHAMPION else None)
    if release.version and move and move["action"] != "none":
        tell_move(run.where, "promoted", name, release.version, move)


def signature(secret: str, body: bytes) -> str:
    """The value of the header that signs a POST: HMAC-SHA256 of its body.

    >>> signature("a secret", b"{}")[:20]
    'sha256=c424c6f590d0d'
    """
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def _failure(hook: Hook, body: bytes, folder: Path) -> str | None:
    """Why the hook failed; None if it did not."""
    try:
        if hook.command is not None:
            execute(hook.command, folder, body, DEADLINE_S)
            return None
        url = expand(str(hook.url))
        headers = {SIGNATURE: signature(expand(hook.secret), body)} if hook.secret else {}
    except (Undelivered, ValueError, OSError) as failure:
        return str(failure)
    return failure_of(beside(lambda: post(url, body, headers)), DEADLINE_S)
