"""A PostgreSQL server of our own, as Debian packages it."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from job_fixture import free_port, wait_until
from registry_server_fixture import WITH_US, end

POSTGRES = Path("/usr/lib/postgresql")


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URI of a PostgreSQL of our own on loopback, as Debian packages it."""
    programs = sorted(POSTGRES.glob("*/bin/initdb"))
    if not programs:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    port, programs_folder = free_port(), programs[-1].parent
    user = "postgres" if any(entry.pw_name == "postgres" for entry in pwd.getpwall()) else "nobody"
    as_user = {"user": user, "cwd": "/"} if os.getuid() == 0 else {}  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="rppg"))  # not tmp_path: that may not be entered by another user
    if as_user:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    server = None
    try:
        subprocess.run(
            [programs_folder / "initdb", "-D", folder / "data", "-U", "tracker", "--auth=trust", "--no-sync"],
            check=True,
            capture_output=True,
            **as_user,
        )
        command = [
            *WITH_US,
            programs_folder / "postgres",
            "-D",
            folder / "data",
            "-p",
            str(port),
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            f"unix_socket_directories={folder}",
            "-c",
            "fsync=off",
        ]
        server = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, **as_user
        )
        wait_until(
            lambda: (
                subprocess.run(
                    [programs_folder / "pg_isready", "-h", "127.0.0.1", "-p", str(port)], capture_output=True
                ).returncode
                == 0
            ),
            60,
        )
        subprocess.run(
            [programs_folder / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "tracker", "mlflow"],
            check=True,
            capture_output=True,
        )
        yield f"postgresql+psycopg2://tracker@127.0.0.1:{port}/mlflow"
    finally:
        if server:
            end(server)
        shutil.rmtree(folder, ignore_errors=True)
