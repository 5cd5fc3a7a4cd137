"""The journal: the truth about a run, from which `resume` goes on."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ray_pipeline.plain_json import json_digest, parse_json, plain

if TYPE_CHECKING:
    from ray_pipeline.runs.run_folder import RunFolder

JOURNAL = "journal"


@dataclass(frozen=True)
class Journal:
    """The completed steps of a run, one file each, with the hash of its content.

    A step whose hash does not fit counts as not done.
    """

    folder: "RunFolder"

    def record(self, step: str, content: Mapping[str, Any]) -> None:
        """Write a completed step."""
        entry = {
            "step": step,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "sha256": json_digest(content),
            "found": plain(content),
        }
        text = json.dumps(entry, sort_keys=True, ensure_ascii=False)
        self.folder.write(f"{JOURNAL}/{step}.json", text + "\n")

    def recorded(self, step: str) -> dict[str, Any] | None:
        """What was recorded of a step; None where it is absent or damaged, and so is done again."""
        path = self.folder.path / JOURNAL / f"{step}.json"
        return content_of(path.read_bytes()) if path.is_file() else None

    def steps(self, prefix: str) -> list[str]:
        """Names of the recorded steps with that prefix, sorted."""
        return sorted(path.stem for path in (self.folder.path / JOURNAL).glob(f"{prefix}*.json"))


def written_at(entry: bytes) -> datetime | None:
    """When a journal entry was written, in UTC; None where it does not say."""
    with suppress(ValueError, KeyError, TypeError):
        return datetime.fromisoformat(parse_json(entry)["at"])
    return None


def content_of(entry: bytes) -> dict[str, Any] | None:
    """What a journal entry says; None where its hash does not agree."""
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        written = parse_json(entry)
        return written["found"] if json_digest(written["found"]) == written["sha256"] else None
    return None
