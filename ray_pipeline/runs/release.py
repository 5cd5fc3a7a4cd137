"""How a run ended: what `run --json` prints, as a value."""

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from ray_pipeline.plain_json import plain
from ray_pipeline.report.release import release_html
from ray_pipeline.storage.blob_store import BlobStore

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Release:
    """The answer of a run; it copies, pickles and compares. The data frames are read from the run folder."""

    run: str
    """The run's id."""
    status: Literal["registered", "refused", "unregistered"]
    exit: int
    model: str | None
    """`models:/<name>/<version>`; None where nothing was registered."""
    version: int | None
    family: str
    fit: Mapping[str, Any]
    """What the model is fitted on, and why: `on`, `why` and the `backtests`."""
    metrics: Mapping[str, Mapping[str, float | None]]
    """Value, low and high of each metric on the test part."""
    gates: tuple[Mapping[str, Any], ...]
    num_trials: int
    rows: Mapping[str, Any]
    """Rows of each part, and of those dropped by the reason."""
    seconds: Mapping[str, float]
    report: str
    """The path or URI of report.html."""
    problems: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> Self:
        """The release that `as_json` wrote."""
        fields = {name: value for name, value in answer.items() if name != "trials"}
        tuples = {name: tuple(answer[name]) for name in ("gates", "problems")}
        return cls(**fields | tuples, num_trials=answer["trials"])

    def as_json(self) -> dict[str, Any]:
        """The contract's object."""
        answer: dict[str, Any] = plain(asdict(self))
        answer["trials"] = answer.pop("num_trials")
        return answer

    @property
    def folder(self) -> str:
        """The path or URI of the run folder."""
        return self.report.rpartition("/")[0]

    @property
    def predictions(self) -> "pd.DataFrame":
        """The scored test part: key, label, scores, decision, weight and slice columns."""
        import pandas as pd

        return pd.read_parquet(io.BytesIO(self._read("predictions/test.parquet")))

    @property
    def trials(self) -> "pd.DataFrame":
        """Every trial: number, family, hyperparameters, rungs, metric, seconds and status."""
        import pandas as pd

        return pd.DataFrame([json.loads(line) for line in self._read("trials.jsonl").splitlines()])

    @property
    def evaluation(self) -> "pd.DataFrame":
        """Every metric, overall and by slice: value, low, high and rows."""
        import pandas as pd

        return pd.DataFrame(json.loads(self._read("evaluation.json")))

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What bias.json finds wrong between groups."""
        return [row["finding"] for row in self.bias if "finding" in row]

    @property
    def bias(self) -> list[dict[str, Any]]:
        """The rows of bias.json: every measure by group, its gap and its ratio."""
        rows: list[dict[str, Any]] = json.loads(self._read("bias.json"))
        return rows

    def _repr_html_(self) -> str:
        """The release in a notebook: verdict, gates, metrics with their intervals, and a link to the report."""
        return release_html(self.as_json())

    def _read(self, name: str) -> bytes:
        return BlobStore(self.folder).read(name)
