"""One write of a run to its storage fails: exit 6, no half-written file, and `resume` ends with the same bytes."""

import errno
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tables import write_spec

from ray_pipeline import pipeline
from ray_pipeline.errors import StorageError
from ray_pipeline.resuming import resume
from ray_pipeline.runs.run_folder import RunFolder
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import Where
from ray_pipeline.storage import local_backend

pytestmark = [pytest.mark.ray, pytest.mark.slow]
FAULTS = (errno.ENOSPC, errno.EIO, errno.EROFS)
NAMES = ("model/model.ubj", "model/encoder.json", "evaluation.json")


@pytest.fixture(scope="module")
def spec(loans: Path) -> Spec:
    changes = {"trials": "trials: 6 => trials: 2", "register": "register: {alias: challenger} => register: false"}
    return Spec.from_file(write_spec(loans, "failing.yaml", **changes))


@contextmanager
def failing(write: int, number: int) -> Iterator[list[str]]:
    """In the block that write of this process's stores fails once; yields the files that are written."""
    fsync, written = os.fsync, list[str]()

    def synced(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_file():
            written.append(str(path))
            if len(written) == write + 1:
                raise OSError(number, os.strerror(number))
        fsync(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_backend.os, "fsync", synced)
        yield written


def model_of(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in NAMES}


@pytest.fixture(scope="module")
def undisturbed(spec: Spec, ray_local: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], int]:
    """The files of the model, and how often a run writes."""
    storage = tmp_path_factory.mktemp("whole")
    with failing(-1, 0) as written:
        run = pipeline.run(spec, Where(storage=str(storage))).run
    return model_of(storage / run), len(written)


def test_a_write_that_fails_costs_no_file_and_no_byte(
    fault_seed: int, spec: Spec, undisturbed: tuple[dict[str, bytes], int], tmp_path: Path
) -> None:
    wanted, writes = undisturbed
    draw = random.Random(f"write {fault_seed}")
    write, number, where = draw.randrange(writes), draw.choice(FAULTS), Where(storage=str(tmp_path))
    with failing(write, number) as written:
        try:
            run = RunFolder.open(str(tmp_path), pipeline.run(spec, where).run)  # it was not needed, such as the cache
        except StorageError as told:
            assert told.exit_code == 6 and os.strerror(number) in str(told), (write, written[-1])
            known = [path.parent.parent.name for path in tmp_path.glob("*/journal/begin.json")]
            run = RunFolder.open(str(tmp_path), known[0]) if known else None
    assert len(written) > write
    assert not list((tmp_path / ".tmp").iterdir()), (write, os.strerror(number))
    if run is None:
        run = RunFolder.open(str(tmp_path), pipeline.run(spec, where).run)
    assert resume(run).exit == 0
    assert model_of(run.path) == wanted, (write, os.strerror(number))
