"""Bytes by name, in a folder or an object store that every node reaches; it travels to workers."""

import shutil
from pathlib import Path

import pyarrow as pa

from ray_pipeline.errors import Problem, StorageError
from ray_pipeline.storage.object_store import ObjectStore


class BlobStore:
    """What lies below an absolute path or a URI; a name is there whole, or not at all."""

    def __init__(self, root: str) -> None:
        self.root = root

    def exists(self, name: str) -> bool:
        """Whether something of that name is there."""
        return ObjectStore(self.root).exists(name) if "://" in self.root else Path(self.root, name).is_file()

    def read(self, name: str) -> bytes:
        """The content."""
        return ObjectStore(self.root).read(name) if "://" in self.root else Path(self.root, name).read_bytes()

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Puts it there, in place of what was. Raises `StorageError` where that fails."""
        if "://" in self.root:
            ObjectStore(self.root).put(name, bytes(content))
            return
        path = Path(self.root, name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.tmp")
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            fix = "free some space, or name another `storage`; then `ray-pipeline resume`"
            raise StorageError(Problem(file=str(path), found=f"cannot write: {error.strerror}", fix=fix)) from None

    def forget(self, kept: int) -> None:
        """Takes the oldest folders away but for so many; a bucket has rules of its own for that."""
        if "://" not in self.root:
            for old in sorted(Path(self.root).iterdir(), key=lambda path: path.stat().st_mtime)[:-kept]:
                shutil.rmtree(old, ignore_errors=True)
