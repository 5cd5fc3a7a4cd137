"""Run by `test_runs_in_a_bucket.py` in a process of its own, whose Ray knows the bucket: a run in a bucket that is cut
off before its evaluation is saved, and gone on with.

usage: bucket_run.py SPEC STORAGE REGISTRY         -> one JSON line: the run that was cut off
       bucket_run.py SPEC STORAGE REGISTRY RUN     -> one JSON line: the answer of the resumed run
"""

import json
import os
import sys

from ray_pipeline.runtime.process_state import SETTINGS

os.environ.update(SETTINGS)
os.environ["RAY_AUTH_MODE"] = "disabled"


def main(spec: str, storage: str, registry: str, run: str | None = None) -> None:
    from ray_pipeline import pipeline
    from ray_pipeline.errors import Interrupted
    from ray_pipeline.evaluation.evaluate import Evaluation
    from ray_pipeline.resuming import resume
    from ray_pipeline.runs.context import Run
    from ray_pipeline.runs.run_folder import RunFolder
    from ray_pipeline.spec import Spec
    from ray_pipeline.spec.where import Where

    save = Run.save

    def cut_off(self: Run, value: object) -> object:
        if isinstance(value, Evaluation):
            raise KeyboardInterrupt
        return save(self, value)

    if run is not None:
        print(json.dumps(resume(RunFolder.open(storage, run)).as_json()), flush=True)
        return
    Run.save = cut_off  # type: ignore[method-assign, assignment]
    try:
        pipeline.run(Spec.from_file(spec), Where(storage=storage, registry=registry))
    except Interrupted as stopped:
        print(json.dumps(stopped.answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
