"""Run in a process of its own, by path: scores a version's stored rows, as a batch and one by one, and compares bit for
bit.

Arguments: the folder with the package to score by, the version's folder, and where Python finds libraries. Answers one
line of JSON.
"""

import json
import sys
from pathlib import Path

FORBIDDEN = (
    "ray",
    "mlflow",
    "pandas",
    "polars",
    "sklearn",
)  # scoring must do without; xgboost also loads five times as fast


class Forbid:
    """Makes the forbidden libraries unknown to `import`."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Raises `ModuleNotFoundError` for them, and leaves the rest to others."""
        if name.partition(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(f"scoring must do without {name}", name=name)


def rescore(model: Path) -> dict[str, object]:
    """How many rows were scored, and whether each score came out as stored, in a batch and alone."""
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
            same = (
                (np.ascontiguousarray(scores).view(np.uint64) == stored.view(np.uint64))
                .reshape(len(rows), -1)
                .all(axis=1)
            )
            row = int(np.flatnonzero(~same)[0])
            now, then = scores[row].tolist(), stored[row].tolist()
            answer["found"] = (
                f"the {path} path scores {np.sum(~same)} of {len(rows)} stored rows differently; row {row}: {now}"
                f" instead of {then}"
            )
    return answer


if __name__ == "__main__":
    code, model, libraries = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    sys.path[:0] = [code]
    sys.path += [path for path in libraries if path not in sys.path]
    sys.meta_path.insert(0, Forbid())
    try:
        answer = rescore(Path(model))
    except Exception as error:
        answer = {"found": f"scoring the stored rows failed: {type(error).__name__}: {error}"}
    print(json.dumps(answer))
