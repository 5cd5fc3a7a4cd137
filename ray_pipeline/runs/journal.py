"""The journal of a run: one small file for each completed step, with the hash of what it says."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ray_pipeline.plain_json import plain

if TYPE_CHECKING:
    from ray_pipeline.runs.run_folder import RunFolder

FOLDER = "journal"


class Journal:
    """The truth about a run: `resume` reads it. A step whose hash does not agree counts as not done."""

    def __init__(self, folder: "RunFolder") -> None:
        self.folder = folder

    def record(self, step: str, content: Mapping[str, Any]) -> None:
        """Write a completed step."""
        text = _canonical(plain(content))
        entry = {
            "step": step,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "found": json.loads(text),
        }
        self.folder.write(f"{FOLDER}/{step}.json", json.dumps(entry, ensure_ascii=False) + "\n")

    def recorded(self, step: str) -> dict[str, Any] | None:
        """What was recorded of a step; None where it is absent or damaged, and so is done again."""
        path = self.folder.path / FOLDER / f"{step}.json"
        return content_of(path.read_bytes()) if path.is_file() else None

    def steps(self, prefix: str) -> list[str]:
        """Names of the recorded steps with that prefix, sorted."""
        return sorted(path.stem for path in (self.folder.path / FOLDER).glob(f"{prefix}*.json"))


def content_of(entry: bytes) -> dict[str, Any] | None:
    """What a journal entry says; None where its hash does not agree."""
    try:
        written = json.loads(entry)
        content, sha256 = written["found"], written["sha256"]
    except (ValueError, KeyError, TypeError):
        return None
    return content if hashlib.sha256(_canonical(content).encode()).hexdigest() == sha256 else None


def _canonical(content: object) -> str:
    return json.dumps(content, sort_keys=True, ensure_ascii=False)
