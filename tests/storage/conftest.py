"""A local folder and a bucket of a real S3 server on loopback, for every test of the store."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from s3_fixture import s3

from ray_pipeline.storage.blob_store import BlobStore


@pytest.fixture(scope="package")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment by which this process and its children find the server."""
    with s3(tmp_path_factory.mktemp("s3") / "log") as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment


@pytest.fixture
def local(tmp_path: Path) -> BlobStore:
    return BlobStore(str(tmp_path / "store"))


@pytest.fixture
def remote(bucket: dict[str, str]) -> BlobStore:
    return BlobStore(f"s3://runs/{uuid4().hex}")


@pytest.fixture(params=["local", "remote"])
def store(request: pytest.FixtureRequest) -> BlobStore:
    found: BlobStore = request.getfixturevalue(request.param)
    return found
