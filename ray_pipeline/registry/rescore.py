"""A script for a process of its own: it scores a version's stored rows in a batch and one by one, and compares bits.

The argument is a JSON list of library folders. A line of standard input has, as a JSON list, the folder with the
package to score with and the version's folder. It prints one line of JSON.
"""

import json
import sys
from contextlib import suppress
from pathlib import Path

# Scoring must work without them. Without pandas and scikit-learn, XGBoost also loads five times as fast.
FORBIDDEN = ("ray", "mlflow", "pandas", "polars", "sklearn")


class Forbid:
    """An import finder that hides the forbidden libraries."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raise `ModuleNotFoundError` for a forbidden library; leave every other module to the other finders."""
        if name.partition(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(f"scoring must work without {name}", name=name)


def rescore(model: Path) -> dict[str, object]:
    """Return how many rows were scored, the bundle's fingerprint and, if a score differs, `found` with the details."""
    import numpy as np
    import pyarrow.parquet as pq

    from ray_pipeline.bundle import Bundle

    bundle = Bundle.load(model / "artifacts" / "bundle")
    rows = pq.read_table(model / "verification" / "rows.parquet")
    stored = np.load(model / "verification" / "scores.npy", allow_pickle=False)
    batch = bundle.score(rows)
    single = np.concatenate([bundle.score(rows.slice(row, 1)) for row in range(len(rows))]) if len(rows) else batch
    answer: dict[str, object] = {"rows": len(rows), "fingerprint": bundle.fingerprint}
    for path, scores in (("batch", batch), ("single-row", single)):
        if scores.shape != stored.shape:
            answer["found"] = f"the {path} path gives scores of shape {scores.shape} instead of {stored.shape}"
        elif scores.tobytes() != stored.tobytes():
            same_bits = np.ascontiguousarray(scores).view(np.uint64) == stored.view(np.uint64)
            differing = np.flatnonzero(~same_bits.reshape(len(rows), -1).all(axis=1))
            row = int(differing[0])
            answer["found"] = (
                f"the {path} path scores {len(differing)} of {len(rows)} stored rows differently; row {row}:"
                f" {scores[row].tolist()} instead of {stored[row].tolist()}"
            )
    return answer


if __name__ == "__main__":
    sys.path += [path for path in json.loads(sys.argv[1]) if path not in sys.path]
    sys.meta_path.insert(0, Forbid())
    with suppress(ImportError):  # beside the storing of the version; what is absent is reported when it is needed
        import pyarrow.parquet  # noqa: F401
        import xgboost  # noqa: F401
    code, model = json.loads(sys.stdin.readline())
    sys.path.insert(0, code)
    try:
        answer = rescore(Path(model))
    except Exception as error:
        answer = {"found": f"scoring the stored rows failed: {type(error).__name__}: {error}"}
    print(json.dumps(answer))
