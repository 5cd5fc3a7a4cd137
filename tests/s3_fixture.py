"""A real S3 server on loopback (moto's), in a process of its own; credentials in the environment alone."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from job_fixture import free_port, wait_until

SECRET = "canary-5d41402abc4b2a76b9719d911017c592"  # looked for in everything that a run leaves
SERVE = """
import io, sys, threading
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

moto, alone = DomainDispatcherApplication(create_backend_app), threading.Lock()

def application(environ, start_response):
    length, is_object = environ.get("CONTENT_LENGTH"), environ["PATH_INFO"].strip("/").count("/") > 0
    body = environ["wsgi.input"].read(int(length or 0))
    if len(body) < int(length or 0) or (is_object and environ["REQUEST_METHOD"] == "PUT" and not length):
        start_response("400 Bad Request", [])  # the connection was cut: such a request has no effect, as on S3
        return []
    environ["wsgi.input"] = io.BytesIO(body)
    with alone:  # moto looks at If-Match first and writes later: one request at a time makes that atomic, as S3 is
        return list(moto(environ, start_response))

make_server("127.0.0.1", int(sys.argv[1]), application, threaded=True).serve_forever()
"""


@contextmanager
def s3(log: Path) -> Iterator[dict[str, str]]:
    """The environment by which pyarrow, Ray and boto3 find the server; it has the buckets `tables` and `runs`."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], stdout=out, stderr=out)
    try:
        wait_until(lambda: process.poll() is None and _answers(address), 60, log)
        yield {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "canary-key-098f6bcd4621",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        process.kill()
        process.wait(10)


def _answers(address: str) -> bool:
    for bucket in ("tables", "runs"):
        try:
            urllib.request.urlopen(urllib.request.Request(f"{address}/{bucket}", method="PUT"), timeout=5).close()
        except urllib.error.HTTPError as error:
            if error.code != 409:  # there already
                return False
        except OSError:
            return False
    return True
