"""A campaign of mutated specs, expressions, durations and damaged files: nothing may crash or take more than 5 s.

    python tests/fuzz/campaign.py --specs 100000 --commands 2000 --files 5000

prints one JSON line. A crash is any error but a `PipelineError` (for texts: a `ValueError`), an exit code that is not
documented, or the end of the process. Each one is written to `tests/corpus/`, whose files the tests try again.
"""

import argparse
import io
import json
import os
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import mutations
import pyarrow as pa
import pyarrow.parquet as pq

from ray_pipeline import cli
from ray_pipeline.components.choice_text import read_choice
from ray_pipeline.data.check_tables import check_tables
from ray_pipeline.data.input_table import InputTable
from ray_pipeline.data.open_tables import open_source
from ray_pipeline.duration import parse_duration
from ray_pipeline.errors import DataError, PipelineError
from ray_pipeline.spec import Spec
from ray_pipeline.spec.expression import Expression
from ray_pipeline.spec.gate import Gate
from ray_pipeline.spec.where import Where

SECONDS, WAIT = 5.0, 60.0
"""A hang is more than so many seconds of computing, or of waiting."""
CORPUS = Path(__file__).parent.parent / "corpus"
ROWS = pa.table(
    {
        "arr_delay": [1, 20, None],
        "carrier": ["OO", "UA", None],
        "distance": [1.5, None, float("nan")],
        "hour": pa.array([1, 2, 3], pa.int8()),
        "odd name": [1, 2, 3],
        "weather.temp": [0.0, -0.0, float("inf")],
        "day": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
        "a": ["x", "y", "z"],
        "b": [True, None, False],
        "x": pa.array([2**63 - 1, -(2**63), 0]),
    }
)
FILE_SPEC = {
    "name": "files",
    "task": "regression",
    "features": {"labels": {"path": "rows.parquet", "label": "y", "key": "k", "time": "t"}},
    "split": {"by": "random"},
    "model": "xgboost",
}


class Hang(BaseException):
    """What was tried computed longer than `SECONDS`, or took longer than `WAIT`."""


@contextmanager
def limited() -> Iterator[None]:
    """Raises `Hang` where its block takes too long; a busy machine makes no hang."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    timers = ((signal.SIGALRM, signal.ITIMER_REAL, WAIT), (signal.SIGPROF, signal.ITIMER_PROF, SECONDS))
    previous = {number: signal.signal(number, stop) for number, _, _ in timers}
    for _, timer, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for number, timer, _ in timers:
            signal.setitimer(timer, 0)
            signal.signal(number, previous[number])


def try_spec(text: str) -> None:
    """A spec is valid or refused, and a valid one is rendered as one that has the same fingerprint.

    YAML takes two thirds of the time, so three of four trees are given as a mapping, as `ray_pipeline.run` takes it.
    """
    with suppress(PipelineError):
        tree = _tree(text) if len(text) % 4 else None
        spec = Spec.from_text(text, file="spec.yaml") if tree is None else Spec.from_dict(tree)
        again = Spec.from_text(spec.render(), file="again.yaml")
        assert again.fingerprint == spec.fingerprint, "the rendered spec has another fingerprint"
        json.dumps(spec.as_data(), allow_nan=False)


def _tree(text: str) -> dict[str, Any] | None:
    """The mapping that a text is as JSON, if it is one."""
    with suppress(ValueError, RecursionError):
        tree = json.loads(text)
        return tree if isinstance(tree, dict) else None
    return None


def try_cluster(text: str) -> None:
    """The same of a cluster file."""
    with suppress(PipelineError), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cluster.yaml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        Where.from_file(file)


def try_text(text: str) -> None:
    """An expression, a gate, a choice and a duration are read or refused, and an expression is evaluated or refused."""
    for read in (parse_duration, read_choice, Gate.parse):
        with suppress(ValueError):
            read(text)  # type: ignore[operator]
    with suppress(ValueError, DataError):
        expression = Expression.parse(text)
        with suppress(DataError):
            expression.implied(ROWS.schema)
        expression.evaluate(ROWS)


def try_file(content: bytes) -> None:
    """A damaged file of the label table is refused, or read: by its footer, then row group by row group."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rows.parquet").write_bytes(content)
        spec = Spec.from_text(json.dumps(FILE_SPEC), file="spec.yaml", folder=Path(folder))
        with suppress(PipelineError):
            tables = check_tables(spec, Where())
            if tables.problems:
                return
            labels = InputTable.open(open_source(spec, Where(), "labels"))
            columns = [name for name in ("k", "y", "t", "word") if name in labels.schema.names]
            try:
                for piece in labels.pieces(columns, 100, None):
                    piece()
            except PipelineError:
                raise
            except Exception:
                if problem := labels.source.unreadable(columns):
                    raise DataError(problem) from None
                raise


def try_file_in_child(content: bytes) -> None:
    """The same in a process of its own: Arrow ends the process on some damages."""
    with tempfile.NamedTemporaryFile("r") as told:

        def work() -> int:
            try:
                try_file(content)
            except Exception as error:
                where = traceback.extract_tb(error.__traceback__)[-1]
                Path(told.name).write_text(f"{type(error).__name__}: {error} at {where.filename}:{where.lineno}")
                return 1
            return 0

        code = _in_child(work)
        assert code == 0, told.read()[:300] or f"the process ended with {code}"


@cache
def file_contents() -> tuple[bytes, ...]:
    """Valid Parquet files, with different encodings."""
    rows = 300
    table = pa.table(
        {
            "k": range(rows),
            "y": [row / 7 for row in range(rows)],
            "t": pa.array(range(rows), pa.timestamp("us")),
            "word": pa.array([None if row % 9 == 0 else f"w{row % 20}" for row in range(rows)]),
        }
    )
    contents = list[bytes]()
    for options in (
        {"compression": "snappy"},
        {"compression": "none", "use_dictionary": False, "row_group_size": 50},
        {"compression": "zstd", "version": "1.0", "write_page_checksum": True},
    ):
        sink = io.BytesIO()
        pq.write_table(table, sink, **options)
        contents.append(sink.getvalue())
    return tuple(contents)


def try_command(text: str) -> None:
    """`check` or `render` in a process of its own prints one JSON object and ends with a documented exit code."""
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "spec.yaml", Path(folder) / "out"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        code = _in_child(lambda: _run_verb("render" if len(text) % 4 == 0 else "check", file, out))
        lines = out.read_text("utf-8").splitlines() if out.exists() else []
        answer = json.loads(lines[-1]) if lines else {}
        assert code in (0, 2, 3) and answer.get("exit") == code, f"exit {code}: {answer.get('problems', lines)}"


def _run_verb(verb: str, file: Path, out: Path) -> int:
    sys.stdout = sys.stderr = out.open("w", encoding="utf-8")  # problems first, the answer last
    sys.argv = ["ray-pipeline", verb, str(file), "--json"]
    try:
        cli.main()
    except SystemExit as ended:
        sys.stdout.flush()
        return int(ended.code or 0)
    return 0


def _in_child(work: Callable[[], int]) -> int:
    """The exit code of `work` in a forked process; minus the number of the signal that ended it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python 3.12, where threads run; the child starts none of theirs
        child = os.fork()
    if child == 0:
        code = 99
        try:
            signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            code = work()
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except Hang:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise


KINDS: dict[str, tuple[Callable[[Any], None], Callable[[Any], Any]]] = {
    "spec": (try_spec, mutations.mutated_spec),
    "cluster": (try_cluster, mutations.mutated_cluster),
    "text": (
        try_text,
        lambda rng: mutations.mutated_text(
            rng, rng.choice((*mutations.EXPRESSIONS, *mutations.DURATIONS, *mutations.CHOICES, *mutations.GATES))
        ),
    ),
    "file": (try_file_in_child, lambda rng: mutations.damaged(rng, rng.choice(file_contents()))),
    "command": (try_command, mutations.mutated_spec),
}


def attempt(kind: str, made: Any) -> str | None:
    """What went wrong with one input, in words; None where nothing did."""
    try:
        with limited():
            KINDS[kind][0](made)
    except Hang:
        return f"a hang of more than {SECONDS:g} s"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"
    return None


def campaign(kind: str, count: int, seed: int, seconds: float = float("inf"), keep: Path | None = None) -> Counter[str]:
    """Tries `count` inputs of a kind, or as many as the seconds allow; failures by what went wrong, and `tried`."""
    failures, begun = Counter[str](), time.monotonic()
    for number in range(count):
        if time.monotonic() - begun > seconds:
            break
        failures["tried"] += 1
        if failures["tried"] % 1_000 == 0:
            print(f"{kind}: {failures['tried']:,} tried", file=sys.stderr, flush=True)
        made = KINDS[kind][1](mutations.random_for(seed, number))
        if failure := attempt(kind, made):
            place = failure.rpartition("(")[2]
            if keep is not None and not any(place in known for known in failures):
                content = made if isinstance(made, bytes) else made.encode("utf-8", "surrogatepass")
                (keep / f"{kind}-{seed}-{number}").write_bytes(content)
            failures[failure] += 1
    return failures


def read_corpus(file: Path) -> tuple[str, Any]:
    """The kind and the input of a file of the corpus, called KIND-…"""
    kind, content = file.name.partition("-")[0], file.read_bytes()
    return kind, content if kind == "file" else content.decode("utf-8", "surrogatepass")


def main() -> None:
    """Runs the campaign of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, count in (
        ("specs", 100_000),
        ("clusters", 20_000),
        ("texts", 100_000),
        ("commands", 2_000),
        ("files", 5_000),
    ):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="at most, for each kind")
    parser.add_argument("--keep", type=Path, default=CORPUS, help="the folder for inputs that fail")
    options = parser.parse_args()
    answer: dict[str, Any] = {"seed": options.seed}
    for kind in KINDS:
        begun = time.monotonic()
        found = campaign(kind, getattr(options, f"{kind}s"), options.seed, options.seconds, options.keep)
        tried = found.pop("tried", 0)
        answer[kind] = {"tried": tried, "failed": sum(found.values()), "seconds": round(time.monotonic() - begun, 1)}
        answer[kind] |= {"failures": dict(found.most_common(20))} if found else {}
    print(json.dumps(answer))
    raise SystemExit(any(answer[kind]["failed"] for kind in KINDS))


if __name__ == "__main__":
    main()
