"""Another process that works on the same store: commands go in by lines, one line of answer comes out for each."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Worker:
    """A child process; `kernel` lets it pass for a process of another machine."""

    def __init__(self, root: str, kernel: str = "", pace: float = 1.0) -> None:
        command = [sys.executable, str(Path(__file__)), root, kernel, str(pace)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, *words: object) -> None:
        assert self.process.stdin
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def ask(self, *words: object) -> str:
        self.send(*words)
        return self.answer()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@contextmanager
def workers(number: int, root: str, kernel: str = "", pace: float = 1.0) -> Iterator[list[Worker]]:
    """That many processes; those with a kernel have a different one each."""
    started = [Worker(root, f"{kernel}-{index}" if kernel else "", pace) for index in range(number)]
    try:
        for worker in started:
            assert worker.answer() == "ready"
        yield started
    finally:
        for worker in started:
            worker.kill()
            for pipe in (worker.process.stdin, worker.process.stdout):
                if pipe:
                    pipe.close()


def set_pace(lease: object, pace: float) -> None:
    """Lets a lease expire in a fraction of its time."""
    for name in ("TTL_S", "RENEW_S", "MARGIN_S", "POLL_S", "RETRY_S"):
        setattr(lease, name, getattr(lease, name) * pace)


def main(root: str, kernel: str, pace: str) -> None:
    import random
    import time
    from contextlib import ExitStack

    from ray_pipeline.errors import ResourceError
    from ray_pipeline.storage import lease
    from ray_pipeline.storage.blob_store import BlobStore

    set_pace(lease, float(pace))
    if kernel:
        lease._kernel = lambda: kernel
    store, held = BlobStore(root), ExitStack()
    mine: list[lease.Lease] = []

    def take(key: str) -> str:
        try:
            mine.append(held.enter_context(store.lease(key)))
        except ResourceError as error:
            return f"refused {error}"
        return "held"

    def check() -> str:
        try:
            mine[-1].check()
        except ResourceError:
            return "lost"
        return "held"

    def count(key: str, times: str, witness: str) -> str:
        """Adds to a counter under the lease; the witness is a file that two holders would both try to make."""
        done = 0
        while done < int(times):
            try:
                with store.lease(f"{key}.lease") as one:
                    with Path(witness).open("x"):
                        value = int(store.read(key)) if store.exists(key) else 0
                        one.check()
                        store.write(key, str(value + 1).encode())
                    Path(witness).unlink()
                    done += 1
            except ResourceError:
                time.sleep(random.uniform(0, 0.3))
        return "counted"

    def write(key: str, times: str, size: str) -> str:
        for turn in range(int(times)):
            store.write(key, bytes([turn % 251]) * int(size))
        return "written"

    def use(folder: str) -> str:
        held.enter_context(store.use(folder))
        return "used"

    def release() -> str:
        held.close()
        return "released"

    verbs = {"take": take, "check": check, "count": count, "write": write, "use": use, "release": release}
    print("ready", flush=True)
    for line in sys.stdin:
        verb, *words = line.split()
        print(verbs[verb](*words), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
