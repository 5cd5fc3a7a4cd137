"""What a run leaves behind as plain files, each written whole when its stage is done; the manifest comes last."""

import errno
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ray_pipeline.bundle import Bundle, write_bundle
from ray_pipeline.components.calibrators._base import Calibrator
from ray_pipeline.components.encoders._base import Encoder
from ray_pipeline.components.metrics import metric_of
from ray_pipeline.data.read import Table
from ray_pipeline.errors import Interrupted, PipelineError, Problem, StorageError
from ray_pipeline.evaluation.evaluate import Evaluation, finite
from ray_pipeline.evaluation.explain import Explanation
from ray_pipeline.evaluation.gates import Verdict
from ray_pipeline.evaluation.predict import prediction_table
from ray_pipeline.preprocessing.encode import Encoded, slice_edges
from ray_pipeline.profiling import drift
from ray_pipeline.profiling.profile import Profile
from ray_pipeline.registry.register import Release
from ray_pipeline.report.write import write_report
from ray_pipeline.runs import digests
from ray_pipeline.runs.reproducibility import made, same, versions
from ray_pipeline.runs.run_folder import RunFolder, plain
from ray_pipeline.runtime.plan import Plan
from ray_pipeline.runtime.progress import Progress
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.tuning.search import Leaderboard
from ray_pipeline.tuning.validate import Validated
from ray_pipeline.values import Finding, Predictions

FORMAT = 1


def begin(folder: RunFolder, spec: Spec, where: Where) -> None:
    """Writes the spec and what is needed to go on after any interruption; nothing if they are there already."""
    if folder.recorded("begin") is None:
        folder.write("spec.yaml", spec.render())
        folder.record(
            "begin",
            {
                "fingerprint": spec.fingerprint,
                "base": str(spec.folder),
                "where": where.with_absolute_paths(spec.folder, Path.cwd()).model_dump(mode="json"),
                "versions": versions(),
            },
        )


def begun(folder: RunFolder) -> tuple[Spec, Where]:
    """The spec and the cluster file that the run began with. Raises `StorageError` where its journal does not say."""
    entry = folder.recorded("begin")
    if entry is None:
        raise StorageError(
            Problem(file=str(folder.path), found="the run has no journal to go on from", fix="start a new run")
        )
    return Spec.from_text(
        (folder.path / "spec.yaml").read_text(), file=str(folder.path / "spec.yaml"), folder=Path(entry["base"])
    ), Where.model_validate({**entry["where"], "storage": folder.storage}, strict=False)


@contextmanager
def problems(folder: RunFolder, spec: Spec, show: Progress) -> Iterator[None]:
    """Whatever ends the run early comes out as a `PipelineError` with the run's id and the spec's lines, and is written
    into its journal."""
    try:
        yield
    except KeyboardInterrupt:
        stage = next(reversed(show.seconds), "start")
        raise _told(
            folder,
            Interrupted(
                Problem(
                    stage=stage,
                    found="interrupted; nothing is half-written",
                    fix=f"go on with `ray-pipeline resume {folder.run}`",
                )
            ),
        ) from None
    except PipelineError as error:
        error.problems = tuple(_placed(problem, spec) for problem in error.problems)
        raise _told(folder, error) from error.__cause__
    except Exception as error:
        if not (full := _disk(error)):
            raise
        found = f"{full.strerror or full}{f' ({full.filename})' if full.filename else ''}"
        fix = f"free some space, then `ray-pipeline resume {folder.run}`: what is finished is kept"
        raise _told(
            folder,
            StorageError(
                Problem(stage=next(reversed(show.seconds), "start"), file=folder.address, found=found, fix=fix)
            ),
        ) from error


def _disk(error: BaseException | None) -> OSError | None:
    """What the disk refused, at the root of a chain of wrapped errors."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            return error
        seen.add(id(error))
        error = getattr(error, "cause", None) or error.__cause__ or error.__context__
    return None


def _placed(problem: Problem, spec: Spec) -> Problem:
    """The problem with the line of the spec that its key stands in; workers, who find some, do not know it."""
    if problem.file or not problem.key:
        return problem
    file, line = spec.place(problem.key)
    return replace(problem, file=file, line=line) if line else problem


def _told(folder: RunFolder, error: PipelineError) -> PipelineError:
    error.answer = {"run": folder.run}
    with suppress(StorageError):  # the disk may be what is wrong
        folder.record(
            "problem", {"exit": error.exit_code, "problems": [problem.as_json() for problem in error.problems]}
        )
    return error


def profiled(folder: RunFolder, table: Table, profile: Profile, findings: tuple[Finding, ...]) -> None:
    """Writes checks.json, joins.json, training.json and drift.json."""
    folder.write_json("checks.json", [asdict(finding) for finding in findings])
    joins = {}
    for name, counts in profile.counts.joins.items():
        told = dict(
            zip(
                ("rows", "matched", "too_old", "not_yet_known", "never_seen", "null_key"), counts.counted(), strict=True
            )
        )
        joins[name] = {
            **told,
            "age_p50_s": counts.age(0.5),
            "age_p99_s": counts.age(0.99),
            "plan": table.plans[name].how,
            "why": table.plans[name].why,
            "table": dict(table.lookups[name]),
        }
    folder.write_json("joins.json", joins)
    shapes = drift.shapes(profile.sample, profile.types)
    folder.write_json("training.json", drift.to_json(shapes))
    folder.write_json("drift.json", drift.drift_by_part(shapes, profile.judged))
    folder.record("profile", {"rows": dict(profile.parts), "dropped": dropped(table, profile)})


def encoded(folder: RunFolder, rows: Encoded) -> None:
    """Proves split and encoders to be those that the run began with, or that it repeats."""
    same(folder, "split", digests.of_split(rows))
    same(folder, "encoder", digests.of_json({needs: encoder.to_json() for needs, encoder in rows.encoders.items()}))


def dropped(table: Table, profile: Profile) -> dict[str, int]:
    """Rows that no part holds, by the reason."""
    counts = profile.counts
    where = table.num_rows - table.out_of_range - counts.scanned + counts.where
    return {"null_label": counts.null_label, "where": where, "range": table.out_of_range, "gap": counts.gap}


def validated(folder: RunFolder, found: Validated) -> None:
    """Writes baselines.json; families.json, the winner first, where several competed; calibration.json, what
    calibration changed, but for regression."""
    folder.write_json("baselines.json", [one.as_json() for one in found.baselines])
    if found.families:
        folder.write_json("families.json", [one.as_json() for one in found.families])
    if found.raw.task != "regression":
        metrics = [metric_of(word) for word in ("ece", "log_loss", "brier")]
        sides = (("before", found.raw), ("after", found.rescaled))
        told = {m.name: {side: finite(m(rows.label, rows.score, rows.weight)) for side, rows in sides} for m in metrics}
        folder.write_json("calibration.json", {"kind": found.calibrator.kind, "rows": len(found.raw), **told})


def model(
    folder: RunFolder,
    spec: Spec,
    where: Where,
    table: Table,
    profile: Profile,
    encoder: Encoder,
    leaderboard: Leaderboard,
    calibrator: Calibrator,
    threshold: float | None,
    final: Path,
) -> Bundle:
    """The bundle, written into model/; from here on it is what every score comes from."""
    best = leaderboard.best
    base = where.resolve(".", spec.folder)
    bundle = write_bundle(
        folder.path / "model",
        encoder=encoder.to_json(),
        model_file=final / leaderboard.family.file,
        model={
            "format": FORMAT,
            "family": best.family,
            "params": dict(best.params),
            "rounds": best.rounds,
            "metric": spec.search.metric,
            "validation": best.metric,
            "trial": best.trial,
            "fit_on": spec.fit.on,
        },
        calibration=calibrator.model_dump(mode="json"),
        schema={
            "format": FORMAT,
            "task": spec.task,
            "label": spec.features.labels.label,
            "classes": list(profile.classes),
            "threshold": threshold,
            "key": spec.features.labels.key,
            "columns": [{"name": name, "type": str(profile.types[name])} for name in encoder.reads],
            "features": spec.as_data()["features"],
            "select": spec.as_data()["select"],
            "base": base,
            "edges": slice_edges(spec.slices, table, profile),
            "spec": spec.render(),
        },
    )
    folder.share("model")
    same(folder, "model", digests.of_model(bundle))
    return bundle


def test_part(spec: Spec, table: Table) -> str:
    """What names the test part: the data, the label, the selection and the split; two runs with it judge on the same
    rows."""
    dumped = spec.as_data()
    named = [
        table.footers["labels"].fingerprint,
        dumped["features"]["labels"]["label"],
        dumped["select"],
        dumped["split"],
    ]
    return hashlib.sha256(json.dumps(named, sort_keys=True, default=str).encode()).hexdigest()[:16]


def times_judged(folder: RunFolder, table: Table, spec: Spec) -> int:
    """How many runs of this storage, this one included, have opened the same test part."""
    part = test_part(spec, table)
    folder.record("test_part", {"test_part": part})
    return sum(1 for other in folder.siblings("test_part") if other["test_part"] == part)


def evaluated(folder: RunFolder, test: Predictions, bundle: Bundle, evaluation: Evaluation, verdict: Verdict) -> None:
    """Writes predictions, evaluation.json, bias.json and scorecard.json."""
    predictions, sink = prediction_table(test, bundle.decide(test.score)), pa.BufferOutputStream()
    pq.write_table(predictions, sink)
    folder.write("predictions/test.parquet", sink.getvalue())
    same(folder, "predictions", digests.of_table(predictions))
    folder.write_json("evaluation.json", evaluation.as_json())
    folder.write_json("bias.json", evaluation.bias_as_json())
    same(folder, "metrics", digests.of_json([evaluation.as_json(), evaluation.bias_as_json()]))
    folder.write_json("weak_slices.json", evaluation.weak_as_json())
    folder.write_json("scorecard.json", {**verdict.as_json(), "model": bundle.fingerprint})


def explained(folder: RunFolder, explanation: Explanation | None) -> None:
    """Writes explain.json, where the spec asks for it."""
    if explanation is not None:
        folder.write_json("explain.json", explanation.as_json())


def trials(folder: RunFolder, leaderboard: Leaderboard) -> None:
    """Writes trials.jsonl, in the order of the trials' numbers."""
    folder.write(
        "trials.jsonl",
        "".join(json.dumps(plain(asdict(result)), ensure_ascii=False) + "\n" for result in leaderboard.results),
    )
    same(folder, "trials", digests.of_trials(leaderboard.results))


def manifest(
    folder: RunFolder,
    spec: Spec,
    layout: Plan,
    table: Table,
    profile: Profile,
    encoder: Encoder,
    leaderboard: Leaderboard,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """All that a rerun needs, as `manifest.json` will say it; in the journal until the run is complete. Writes the
    report with it."""
    begun_with, data = folder.recorded("begin") or {}, folder.recorded("data") or {}
    told = {
        "format": FORMAT,
        "run": folder.run,
        "spec": spec.render(),
        "base": begun_with.get("base"),
        "where": begun_with.get("where"),
        "fingerprint": spec.fingerprint,
        "data": {
            name: {
                **data[name],
                "files": len(f.files),
                "rows": f.num_rows,
                "bytes": f.num_bytes,
                "bytes_read": table.bytes_read[name],
            }
            for name, f in table.footers.items()
        },
        "versions": versions(),
        "seeds": {"seed": spec.seed, "search": spec.search.seed, "split": getattr(spec.split, "seed", None)},
        "plan": asdict(layout),
        "warm_start": folder.recorded("warm_start"),
        "rows": {**profile.parts, "dropped": dropped(table, profile)},
        "times": dict(profile.last_time),
        "digests": made(folder),
        "trials": [plain(asdict(result)) for result in leaderboard.results],
        "winner": {
            "trial": leaderboard.best.trial,
            "family": leaderboard.best.family,
            "rounds": leaderboard.best.rounds,
        },
        "seconds": {stage: round(spent, 2) for stage, spent in seconds.items()},
    }
    folder.record("manifest", told)
    write_report(folder.path)
    folder.share("report.html")
    return told


def finished(folder: RunFolder, release: Release, told: dict[str, Any]) -> None:
    """Writes the release into the journal, the report anew with it, and the manifest last."""
    whole = {**told, **{name: release.answer[name] for name in ("status", "model", "version", "seconds")}}
    folder.record("manifest", whole)
    folder.record("release", release.answer)
    write_report(folder.path)
    folder.share("report.html")
    for leftover in (".tune", ".final", "trials"):
        folder.remove(leftover)
    folder.write_json("manifest.json", whole)


def answered(folder: RunFolder) -> Release | None:
    """What a run that is complete has answered; its last files are written if it was cut off just before them."""
    answer, told = folder.recorded("release"), folder.recorded("manifest")
    if answer is None or told is None:
        return None
    if not (folder.path / "manifest.json").is_file():
        finished(folder, Release(answer), told)
    return Release(answer)
