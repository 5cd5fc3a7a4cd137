"""Bytes by key: the same behaviour in a local folder and in a bucket."""

import os
import pickle
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from job_fixture import free_port
from s3_fixture import SECRET
from storage_fixture import workers

from ray_pipeline.errors import StorageError
from ray_pipeline.storage import bucket_backend
from ray_pipeline.storage.blob_store import BlobStore, DamagedBlob, MissingBlob

BAD_KEYS = ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../../b", "a/./b", "a\\b", "a\0b", "a\nb", ".tmp/a", ".use/a"]
segments = st.text(st.characters(exclude_characters="/\\", exclude_categories=["C", "Z"]), min_size=1, max_size=20)
keys = st.lists(segments.filter(lambda text: text not in (".", "..", ".tmp", ".use")), min_size=1, max_size=4)
examples = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def test_objects_go_in_and_out_whole(store: BlobStore, tmp_path: Path) -> None:
    large = random.Random(0).randbytes(9_000_000)  # more than one part of a multipart upload
    digest = store.write("a/b.bin", pa.py_buffer(large))
    store.write("a/c/d.txt", b"text")
    store.write("top", b"")
    assert store.read("a/b.bin", digest) == large and store.read("top") == b""
    assert store.keys() == ["a/b.bin", "a/c/d.txt", "top"] and store.keys("a/c") == ["a/c/d.txt"]
    assert (store.keys("a/b"), store.keys("absent"), store.folders()) == ([], [], ["a"])
    assert store.read_many(["a/c/d.txt", "absent", "top"]) == [b"text", None, b""]
    store.fetch("a", tmp_path / "copy")
    assert (tmp_path / "copy/b.bin").read_bytes() == large and (tmp_path / "copy/c/d.txt").read_text() == "text"
    store.remove("a/c")
    store.remove("absent")
    assert store.exists("a/b.bin") and not store.exists("a/c/d.txt") and not store.exists("a")
    store.remove("a/b.bin")
    assert store.keys() == ["top"]


def test_a_local_object_is_a_plain_file(local: BlobStore) -> None:
    local.write("run/report.html", b"<p>")
    assert Path(local.root, "run/report.html").read_bytes() == b"<p>"


def test_a_new_object_takes_the_place_of_the_old_one(store: BlobStore) -> None:
    for content in (b"first", b"second, longer", b"3rd"):
        digest = store.write("a", content)
        assert store.read("a", digest) == content


def test_one_of_many_creates_an_object(store: BlobStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: store.create("runs/1", str(number).encode()), range(24)))
    assert made.count(True) == 1 and store.read("runs/1") == str(made.index(True)).encode()


def test_an_absent_object_is_named(store: BlobStore) -> None:
    for read in (store.read, store.read_sealed):
        with pytest.raises(MissingBlob, match=f"{store.root}/run/none: does not exist"):
            read("run/none")


def test_a_store_travels_by_its_root_alone(store: BlobStore) -> None:
    store.write("a", b"1")
    packed = pickle.dumps(store)
    assert SECRET.encode() not in packed and len(packed) < 300
    there = pickle.loads(packed)
    assert there == store and there.read("a") == b"1"
    assert BlobStore(store.root + "/") == store


def test_a_sealed_table_comes_back_without_a_copy(store: BlobStore) -> None:
    table = pa.table({"x": list(range(10_000))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    store.write_sealed("cache/block", sink.getvalue())
    content = store.read_sealed("cache/block")
    found = pa.ipc.open_file(pa.BufferReader(content)).read_all()
    assert found == table
    data = found["x"].chunk(0).buffers()[1]
    assert content.address <= data.address < content.address + content.size


def test_every_damage_to_a_sealed_object_is_detected(store: BlobStore) -> None:
    rng, content = random.Random(7), random.Random(8).randbytes(1000)
    store.write_sealed("cache/block", content)
    whole = store.read("cache/block")
    for turn in range(200):
        place = rng.randrange(len(whole))
        flipped = whole[:place] + bytes([whole[place] ^ 1 << rng.randrange(8)]) + whole[place + 1 :]
        zeroed = whole[:place] + b"\0" * 40 + whole[place + 40 :]
        damaged = (flipped, whole[:place], whole + rng.randbytes(1 + place % 50), zeroed, b"")[turn % 5]
        digest = store.write("cache/block", damaged)
        with pytest.raises(DamagedBlob, match=f"{store.root}/cache/block: has changed since it was written"):
            store.read_sealed("cache/block")
        assert store.read("cache/block", digest) == damaged
    store.write_sealed("cache/block", content)
    assert store.read_sealed("cache/block").to_pybytes() == content


def test_a_sealed_object_in_the_place_of_another_one_is_detected(store: BlobStore) -> None:
    for key in ("cache/0", "cache/1"):
        store.write_sealed(key, f"rows of {key}".encode())
    store.write("cache/0", store.read("cache/1"))
    with pytest.raises(DamagedBlob, match=f"{store.root}/cache/0: has changed since it was written"):
        store.read_sealed("cache/0")
    assert store.read_sealed("cache/1").to_pybytes() == b"rows of cache/1"


def test_a_plain_object_is_verified_where_its_digest_is_known(store: BlobStore) -> None:
    digest = store.write("run/model.ubj", b"trees")
    store.write("run/model.ubj", b"treez")
    assert store.read("run/model.ubj") == b"treez"
    with pytest.raises(DamagedBlob, match=r"run/model\.ubj") as damaged:
        store.read("run/model.ubj", digest)
    assert damaged.value.exit_code == 6


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_leads_elsewhere_is_refused_before_anything_is_touched(store: BlobStore, key: str) -> None:
    calls = [
        lambda: store.write(key, b"x"),
        lambda: store.create(key, b"x"),
        lambda: store.write_sealed(key, b"x"),
        lambda: store.read(key),
        lambda: store.read_sealed(key),
        lambda: store.read_many([key]),
        lambda: store.exists(key),
        lambda: store.remove(key),
        lambda: store.lease(key).__enter__(),
        lambda: store.use(key).__enter__(),
    ]
    for call in [*calls, *([lambda: store.keys(key), lambda: store.fetch(key, Path("none"))] if key else [])]:
        with pytest.raises(StorageError, match="is not a key"):
            call()
    assert store.keys() == [] and not Path(store.root).exists()


@examples
@given(parts=keys, content=st.binary(max_size=100))
def test_every_other_key_names_one_object(store: BlobStore, parts: list[str], content: bytes) -> None:
    folder, name = uuid4().hex, "/".join(parts)
    key = f"{folder}/{name}"
    digest = store.write(key, content)
    assert store.exists(key) and store.keys(folder) == [key]
    assert store.read(key, digest) == content
    store.write_sealed(key, content)
    assert store.read_sealed(key).to_pybytes() == content
    store.remove(key)
    assert not store.exists(key) and store.keys(folder) == []


@examples
@given(key=st.text(st.sampled_from("./\\ab\0"), max_size=8))
def test_no_key_reaches_a_file_outside_of_the_root(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    outside = tmp_path_factory.mktemp("outside")
    store = BlobStore(str(outside / "store"))
    try:
        store.write(key, b"x")
    except StorageError:
        assert list(outside.iterdir()) == []
    else:
        assert [path.name for path in outside.iterdir()] == ["store"] and store.read(key) == b"x"


def test_two_writers_of_one_key_never_fail_and_every_read_sees_one_of_their_values(store: BlobStore) -> None:
    size, reads, times = 50_000, 0, 150 if "://" in store.root else 600
    store.write("cache/block", b"\0" * size)
    with workers(2, store.root) as writers:
        for writer in writers:
            writer.send("write", "cache/block", times, size)
        answers: list[str] = []
        waiting = [threading.Thread(target=lambda w=writer: answers.append(w.answer())) for writer in writers]
        for thread in waiting:
            thread.start()
        while any(thread.is_alive() for thread in waiting):
            content = store.read("cache/block")
            assert len(content) == size and content == content[:1] * size
            reads += 1
        assert answers == ["written", "written"] and reads > 100
    assert store.keys() == ["cache/block"]


def test_a_root_that_is_neither_an_absolute_folder_nor_a_bucket_is_refused() -> None:
    for root, found in (("runs", "is a relative path"), ("ftp://host/runs", "there is no storage for ftp://")):
        with pytest.raises(StorageError, match=f"storage: {found}") as refused:
            BlobStore(root).write("a", b"x")
        assert refused.value.problems[0].fix


def test_a_store_that_does_not_answer_is_named_without_secrets(
    remote: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageError, match="cannot write: the object store answers: The specified bucket does not"):
        BlobStore("s3://no-such-bucket/runs").write("a", b"x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageError, match="cannot write: the object store answers") as refused:
        remote.write("a", b"x")
    assert SECRET not in str(refused.value) and "AWS_SECRET_ACCESS_KEY" in refused.value.problems[0].fix


def test_ctrl_c_ends_a_wait_for_a_store_that_is_silent(remote: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        timer = threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT])
        timer.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            remote.read("a")
        assert time.monotonic() - began < 2
        timer.join()


@pytest.mark.parametrize(
    ("variables", "plain"),
    [
        ({}, False),
        ({"AWS_ENDPOINT_URL": "https://minio.internal"}, False),
        ({"AWS_ENDPOINT_URL": "HTTP://127.0.0.1:9000"}, True),
        ({"AZURE_STORAGE_ENDPOINT": "http://127.0.0.1:10000"}, True),
    ],
)
def test_a_bucket_is_used_without_encryption_only_where_the_endpoint_says_so(
    variables: dict[str, str], plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, bool] = {}
    for name in bucket_backend.ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(bucket_backend, "from_url", lambda _, client_options, **more: given.update(client_options))
    bucket_backend.BucketBackend("s3://runs")
    assert given["allow_http"] is plain


def test_markers_by_which_a_console_shows_folders_are_not_objects(remote: BlobStore, tmp_path: Path) -> None:
    import boto3

    client = boto3.client("s3")
    folder = remote.root.removeprefix("s3://runs/")
    for key in ("run/", "run/model/", "run/model/model.ubj"):
        client.put_object(Bucket="runs", Key=f"{folder}/{key}", Body=b"")
    assert remote.keys() == ["run/model/model.ubj"] and remote.folders() == ["run"]
    remote.fetch("run", tmp_path)
    assert (tmp_path / "model/model.ubj").is_file()
