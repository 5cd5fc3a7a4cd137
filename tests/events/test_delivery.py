"""How events are delivered: repeated, killed in time, and without a secret in what is said."""

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from receiver_fixture import receiver

from ray_pipeline.events import delivery
from ray_pipeline.events.delivery import Undelivered, append_line, beside, body_of, execute, failure_of, post

BODY = b'{"event": "registered"}'


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.001)


def python(code: str, *arguments: str) -> list[str]:
    return [sys.executable, "-S", "-c", code, *arguments]


def test_a_post_that_is_answered_500_twice_arrives_at_the_third_attempt() -> None:
    with receiver([500, 503]) as server:
        post(server.url, BODY, {"X-A": "b"})
    assert server.bodies == [BODY] * 3
    assert [(one["X-A"], one["Content-Type"]) for one in server.headers] == [("b", "application/json")] * 3


def test_a_server_that_always_fails_is_given_up() -> None:
    with receiver([500] * 9) as server, pytest.raises(Undelivered, match=r"^127.0.0.1 answered 500 4 times$"):
        post(server.url, BODY, {})
    assert len(server.bodies) == 4


@pytest.mark.parametrize("code", [302, 400, 404])
def test_an_answer_that_will_not_change_is_not_asked_again(code: int) -> None:
    with receiver([code]) as server, pytest.raises(Undelivered, match=f"^127.0.0.1 answered {code}$"):
        post(f"{server.url}/T0/secret-path", BODY, {})
    assert len(server.bodies) == 1, "a redirect is not followed"


def test_a_server_that_is_down_is_one_failure_that_does_not_show_the_path() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/T0/secret-path"
        with pytest.raises(Undelivered) as failure:
            post(url, BODY, {})
    assert str(failure.value) == "127.0.0.1 did not answer (Connection refused) 4 times"


def test_a_silent_server_is_given_up_at_the_deadline() -> None:
    silent = threading.Event()
    with receiver(silent=silent) as server:
        began = time.monotonic()
        failure = failure_of(beside(lambda: post(server.url, BODY, {})), 0.2)
        assert failure == "not delivered within 0.2 s" and time.monotonic() - began < 5


def test_an_error_that_nobody_expected_is_a_failure_too() -> None:
    assert failure_of(beside(lambda: print(1 / 0)), 5) == "ZeroDivisionError"
    assert failure_of(beside(lambda: None), 5) is None


def test_a_command_reads_the_event_in_its_folder(tmp_path: Path) -> None:
    code = "import sys; open('out', 'w').write(sys.argv[1] + sys.stdin.read())"
    execute(python(code, "$HOME; "), tmp_path, BODY, 30)
    assert (tmp_path / "out").read_text() == "$HOME; " + BODY.decode()


def test_a_command_that_does_not_read_a_large_event_is_no_failure(tmp_path: Path) -> None:
    execute(python("pass"), tmp_path, b"x" * 1_000_000, 30)


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "alive")
    # Whoever holds the other end of the pipe is alive: the command, and the child that it has started.
    code = (
        "import os, subprocess, time; end = os.open('alive', os.O_WRONLY); os.write(end, b'x');"
        " subprocess.Popen(['sleep', '600'], pass_fds=[end]); time.sleep(600)"
    )
    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    with pytest.raises(Undelivered, match=r"was killed after 3 s$"):
        execute(python(code), tmp_path, BODY, 3)
    assert os.read(reader, 10) == b"x", "it had started"
    assert os.read(reader, 10) == b"", "nobody holds the other end any more"
    os.close(reader)


def test_a_command_that_fails_says_its_last_line_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_TOKEN", "hunter2hunter2")
    code = "import os, sys; print('a'); print('refused: ' + os.environ['CHAT_TOKEN'], file=sys.stderr); sys.exit(3)"
    with pytest.raises(Undelivered, match=r"ended with exit code 3: refused: \*\*\*$"):
        execute(python(code), tmp_path, BODY, 30)


def test_a_command_that_does_not_exist_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(Undelivered, match=r"^'no-such-program' cannot be started: No such file or directory$"):
        execute(["no-such-program"], tmp_path, BODY, 30)


def test_lines_are_appended_and_a_folder_that_is_absent_is_a_failure(tmp_path: Path) -> None:
    for number in range(2):
        append_line(tmp_path / "events.jsonl", body_of({"number": number, "value": float("nan")}))
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert list(map(json.loads, lines)) == [{"number": 0, "value": None}, {"number": 1, "value": None}]
    with pytest.raises(Undelivered, match="No such file or directory"):
        append_line(tmp_path / "absent" / "events.jsonl", BODY)
