"""Later runs of a storage use the encoded rows again; a damaged or concurrent entry never reaches training."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from run_fixture import Told, run_at

from ray_pipeline.errors import Problem, StorageError
from ray_pipeline.preprocessing import cache
from ray_pipeline.preprocessing.cache import FOLDER, INDEX, cached_rows
from ray_pipeline.preprocessing.encode import Encoded, encode
from ray_pipeline.preprocessing.encoded_rows import EncodedRows
from ray_pipeline.runs.context import Run
from ray_pipeline.runs.digests import table_digest
from ray_pipeline.runs.reproducibility import pin
from ray_pipeline.runtime.session import session
from ray_pipeline.spec import Spec
from ray_pipeline.storage.blob_store import BlobStore

from .conftest import Profiled

pytestmark = pytest.mark.ray
BLOCK = "00000.arrow"


def run_of(storage: Path, spec: Spec, most: int | None = None) -> Run:
    """A run; its cluster file bounds the cache by `most` bytes, if given."""
    run = run_at(storage, spec, progress=Told())
    if most is not None:
        run.where = run.where.model_copy(update={"cache": most})
    return run


def size_of(entry: Path) -> int:
    return sum(path.stat().st_size for path in entry.iterdir())


def encoded_by(run: Run, profiled: Profiled) -> tuple[Encoded, list[str]]:
    """What the run encodes, and what it notes on the way."""
    with session(run.where):
        encoded = encode(profiled.table, profiled.profile, profiled.spec, run)
    assert isinstance(run.progress, Told)
    return encoded, run.progress.notes


def content(rows: EncodedRows) -> tuple[list[str], EncodedRows]:
    """Every byte, and every fact beside the bytes."""
    import ray

    return [table_digest(block) for block in ray.get(list(rows.blocks))], replace(rows, blocks=())


def same(one: EncodedRows, other: EncodedRows) -> bool:
    return content(one) == content(other)


def entries(storage: Path) -> set[Path]:
    return {path for path in (storage / FOLDER).iterdir() if not path.name.startswith(".")}


def entry_of(storage: Path) -> Path:
    """The only entry of the cache."""
    (entry,) = entries(storage)
    return entry


@pytest.fixture(scope="module")
def undamaged(profiled: Profiled, tmp_path_factory: pytest.TempPathFactory) -> EncodedRows:
    encoded, notes = encoded_by(run_of(tmp_path_factory.mktemp("undamaged"), profiled.spec), profiled)
    assert notes == []
    return encoded.rows


@pytest.fixture
def filled(profiled: Profiled, undamaged: EncodedRows, tmp_path: Path) -> Path:
    """A storage whose cache holds the rows, kept by a run of the name `first`."""
    run = run_of(tmp_path, profiled.spec)
    keep(run, profiled, undamaged)
    return tmp_path


def keep(run: Run, profiled: Profiled, rows: EncodedRows, spec: Spec | None = None) -> EncodedRows:
    """The rows by the way of the cache; they are at hand where it does not have them."""
    return cached_rows(run, spec or profiled.spec, profiled.profile, rows.encoders, lambda: rows)


def test_a_later_run_uses_the_same_bytes_again_and_says_whose(
    filled: Path, profiled: Profiled, undamaged: EncodedRows
) -> None:
    encoded, notes = encoded_by(run_of(filled, profiled.spec), profiled)
    first = min(path.name for path in filled.iterdir() if path.name.startswith("loans-"))
    assert notes == [f"the rows that {first} encoded are used again: data, selection, split and encoders are the same"]
    assert same(encoded.rows, undamaged)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(byte ^ 0xFF for byte in content[middle : middle + 400])
    path.write_bytes(content)


def zero(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


CHANGED = "has changed since it was written: its SHA-256 is another one"


@pytest.mark.parametrize(
    ("name", "damage", "found"),
    [
        (BLOCK, flip, CHANGED),
        (BLOCK, zero, CHANGED),
        (BLOCK, truncate, CHANGED),
        (BLOCK, empty, CHANGED),
        (BLOCK, Path.unlink, "does not exist"),
        (INDEX, flip, CHANGED),
        (INDEX, empty, CHANGED),
    ],
)
def test_a_damaged_entry_is_noted_removed_and_made_anew(
    name: str, damage: Callable[[Path], None], found: str, filled: Path, profiled: Profiled, undamaged: EncodedRows
) -> None:
    entry = entry_of(filled)
    damage(entry / name)
    run = run_of(filled, profiled.spec)
    assert same(keep(run, profiled, undamaged), undamaged)
    assert run.progress.notes == [f"the cached rows {entry.name} are encoded anew: {found}"]  # type: ignore[attr-defined]
    again, notes = encoded_by(run_of(filled, profiled.spec), profiled)
    assert [note.partition(" encoded are used again")[0] for note in notes] == [f"the rows that {run.id}"]
    assert same(again.rows, undamaged)


@pytest.mark.parametrize(("method", "note"), [("exists", "No entry"), ("remove", CHANGED)])
def test_a_cache_that_cannot_be_read_or_emptied_does_not_end_the_run(
    method: str,
    note: str,
    filled: Path,
    profiled: Profiled,
    undamaged: EncodedRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> None:
        raise StorageError(Problem(found="No entry", fix="none"))

    flip(entry_of(filled) / BLOCK)
    run = run_of(filled, profiled.spec)
    with monkeypatch.context() as patched:
        patched.setattr(BlobStore, method, refused)
        assert same(keep(run, profiled, undamaged), undamaged)
    (said,) = run.progress.notes  # type: ignore[attr-defined]
    assert said.endswith(f"are encoded anew: {note}")
    again, _ = encoded_by(run_of(filled, profiled.spec), profiled)
    assert same(again.rows, undamaged)


def test_a_run_that_verifies_another_one_encodes_for_itself(
    filled: Path, profiled: Profiled, undamaged: EncodedRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_load", None)
    run = run_of(filled, profiled.spec)
    pin(run.journal, {"plan": {}, "run": "x", "data": {}, "digests": {}, "versions": {}}, verify=True)
    encoded, notes = encoded_by(run, profiled)
    assert notes == [] and same(encoded.rows, undamaged) and encoded.rows.blocks != undamaged.blocks


def test_another_selection_split_slice_or_data_is_another_entry(
    filled: Path, profiled: Profiled, undamaged: EncodedRows
) -> None:
    text = profiled.spec.render()
    changed = [
        ["select.where=amount > 0"],
        ["split.gap=6h"],
        ["evaluate.slices=[purpose]"],
        ["bias.groups=[purpose]", "gates=[]"],
    ]
    for number, sets in enumerate(changed):
        spec = Spec.from_text(text, sets, file="loans.yaml", folder=profiled.spec.folder)
        before = entries(filled)
        keep(run_of(filled, spec), profiled, undamaged, spec)
        assert len(entries(filled) - before) == 1, changed[number]
    other = replace(profiled, profile=replace(profiled.profile, data={"labels": {"fingerprint": "0"}}))
    run = run_of(filled, profiled.spec)
    keep(run, other, undamaged)
    assert run.progress.notes == []  # type: ignore[attr-defined]
    # What does not change an encoded row does not make another entry.
    spec = Spec.from_text(text, ["search.trials=2", "gates=[]"], file="loans.yaml", folder=profiled.spec.folder)
    run = run_of(filled, spec)
    keep(run, other, undamaged, spec)
    assert "are used again" in run.progress.notes[0]  # type: ignore[attr-defined]


def test_the_least_recently_used_set_goes_where_the_cluster_file_allows_the_bytes_of_three(
    filled: Path, profiled: Profiled, undamaged: EncodedRows
) -> None:
    three = 3 * size_of(entry_of(filled)) + 100  # the name of a run may be a digit longer

    def use(data: str) -> str:
        """Keep or use the rows of that data; the name of the entry."""
        profile = replace(profiled.profile, data={"labels": {"fingerprint": data}})
        cached_rows(run_of(filled, profiled.spec, three), profiled.spec, profile, undamaged.encoders, lambda: undamaged)
        return cache._key(run_of(filled, profiled.spec), profiled.spec, profile, undamaged.encoders)

    first, second, third = use("1"), use("2"), use("3")
    assert use("1") == first  # used last: the second is now the one that was not used for longest
    fourth = use("4")
    left = {path.name for path in entries(filled)}
    assert left == {first, third, fourth} and second not in left


def test_a_set_that_another_run_reads_is_not_removed(filled: Path, profiled: Profiled, undamaged: EncodedRows) -> None:
    one = size_of(entry_of(filled)) + 100
    entry, store, other = entry_of(filled), BlobStore(str(filled / FOLDER)), {"labels": {"fingerprint": "other"}}
    changed = replace(profiled, profile=replace(profiled.profile, data=other))
    with store.use(entry.name):
        keep(run_of(filled, profiled.spec, one), changed, undamaged)
        assert entries(filled) == {entry}  # the bound holds: the set that nobody reads goes
    keep(run_of(filled, profiled.spec, one), changed, undamaged)
    assert entry not in entries(filled) and len(entries(filled)) == 1


def test_two_runs_that_encode_the_same_at_once_both_succeed_with_one_set_of_bytes(
    profiled: Profiled, undamaged: EncodedRows, tmp_path: Path
) -> None:
    both_have_found_nothing = threading.Barrier(2, timeout=60)

    def encode_beside_the_other() -> EncodedRows:
        both_have_found_nothing.wait()
        return undamaged

    runs = [run_of(tmp_path, profiled.spec) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        found = list(
            pool.map(
                lambda run: cached_rows(
                    run, profiled.spec, profiled.profile, undamaged.encoders, encode_beside_the_other
                ),
                runs,
            )
        )
    assert all(same(rows, undamaged) for rows in found)
    assert all(run.progress.notes == [] for run in runs)  # type: ignore[attr-defined]
    assert sorted(path.name for path in entry_of(tmp_path).iterdir()) == [
        *(f"{number:05d}.arrow" for number in range(len(undamaged.blocks))),
        INDEX,
    ]
    third, notes = encoded_by(run_of(tmp_path, profiled.spec), profiled)
    assert same(third.rows, undamaged) and "are used again" in notes[0]


def test_rows_are_not_kept_where_they_are_too_many(profiled: Profiled, undamaged: EncodedRows, tmp_path: Path) -> None:
    for most in (0, undamaged.num_bytes - 1):
        keep(run_of(tmp_path, profiled.spec, most), profiled, undamaged)
    assert BlobStore(str(tmp_path / FOLDER)).keys() == []


def test_a_cache_that_cannot_be_written_is_noted_and_costs_the_run_nothing(
    profiled: Profiled, undamaged: EncodedRows, tmp_path: Path
) -> None:
    (tmp_path / FOLDER).write_text("a file is in the way")
    run = run_of(tmp_path, profiled.spec)
    assert same(keep(run, profiled, undamaged), undamaged)
    (note,) = run.progress.notes  # type: ignore[attr-defined]
    assert note.startswith("the encoded rows are not kept for other runs: ") and "Not a directory" in note
