"""The live view on a real terminal (a pty), dated lines without one, and that nothing ends a run or spoils a
terminal."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from datetime import datetime

import pytest

from ray_pipeline.runtime.progress import Progress, progress, stage
from ray_pipeline.runtime.progress_json import JsonProgress

DATED = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ +\S")
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


def on_a_terminal(script: str, term: str = "xterm-256color", **variables: str) -> tuple[str, int]:
    """Runs Python code with standard error on a pseudo-terminal, of 100 columns unless `COLUMNS` says otherwise; what
    the terminal got, and the exit code."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": term, "COLUMNS": "100", "LINES": "40", **variables}
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=slave, env=environment)
    os.close(slave)
    seen = b""
    while select.select([master], [], [], 30)[0]:
        try:
            chunk = os.read(master, 65536)
        except OSError:  # Linux's end of a pty
            break
        if not chunk:
            break
        seen += chunk
    os.close(master)
    return seen.decode(), child.wait(30)


def written(seen: str) -> str:
    """What the terminal got, without colours and cursor moves."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)


def test_without_a_terminal_every_line_is_dated_and_says_what_the_search_found(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with progress(stages=("read", "search")) as show:
        show.stage("read")
        show.rows(327_346)
        show.stage("search")
        show.trial(12, 32, 0.70123, "auc", left_s=41)
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert all(DATED.match(line) for line in lines)
    assert [line[20:].rstrip() for line in lines if "started" in line] == ["read     started", "search   started"]
    assert any(line.endswith("search   12/32 trials, best auc 0.7012, 41 s left") for line in lines)
    assert re.search(r"read     327,346 rows, [\d,]+ rows/s; done in \d\.\d s$", err, re.MULTILINE)
    assert list(show.seconds) == ["read", "search"]
    assert all(seconds >= 0 for seconds in show.seconds.values())


def test_counters_are_thinned_and_the_last_count_is_never_lost(capfd: pytest.CaptureFixture[str]) -> None:
    with progress(stages=("read",)) as show:
        show.stage("read")
        for done in range(1, 10_001):
            show.rows(done, total=10_000)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) < 6
    assert "10,000/10,000 rows" in lines[-1]


def test_time_left_is_estimated_from_the_trials_so_far_and_gone_when_all_are_done() -> None:
    show = Progress(quiet=True)
    show.stage("search")
    assert show._current is not None
    show._current.started -= 10  # ten seconds ago
    show.trial(5, 20, 0.7, "auc")
    assert show._current.counted == "5/20 trials, best auc 0.7000"
    assert show._current.left == ", 30 s left"
    show.trial(20, 20, 0.7, "auc")
    assert show._current.left == ""


def test_quiet_prints_nothing_and_still_measures(capfd: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as show:
        show.stage("read")
        show.rows(5)
        show.note("one thing")
        show.done("read")
    assert capfd.readouterr() == ("", "")
    assert list(show.seconds) == ["read"]


def test_a_stage_entered_twice_adds_its_seconds_and_an_unknown_one_is_welcome() -> None:
    with progress(quiet=True, stages=("read",)) as show:
        for name in ("read", "surprise", "read"):
            show.stage(name)
            time.sleep(0.02)
    assert list(show.seconds) == ["read", "surprise"]
    assert show.seconds["read"] > show.seconds["surprise"] > 0


@pytest.mark.parametrize("ends", [ValueError, KeyboardInterrupt])
def test_what_ends_a_run_passes_through_and_marks_the_stage(
    ends: type[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ends), progress(stages=("read",)) as show:
        show.stage("read")
        raise ends
    assert re.search(r"read     stopped after \d\.\d s$", capfd.readouterr().err, re.MULTILINE)


def test_names_from_data_cannot_drive_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with progress() as show:
        show.stage("read")
        show.note("column \x1b[2J\x07\u202eevil\nnext")
    err = capfd.readouterr().err
    assert "column ·[2J··evil·next" in err
    assert not set(err) & {"\x1b", "\x07", "\u202e"}


def test_a_closed_standard_error_does_not_end_the_run() -> None:
    script = (
        "import os, sys\nfrom ray_pipeline.runtime.progress import progress\nsys.stderr.close()\nwith progress() as"
        " show:\n    show.stage('read'); show.rows(3)\nprint('went on')"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stdout) == (0, "went on\n")


def test_many_threads_may_count_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    with progress(stages=("search",)) as show:
        show.stage("search")
        threads = [
            threading.Thread(target=lambda: [show.trial(i, 400, 0.5, "auc") for i in range(400)]) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        show.trial(400, 400, 0.5, "auc")
    lines = capfd.readouterr().err.splitlines()
    assert all(DATED.match(line) for line in lines)
    assert "400/400 trials" in lines[-1]


def test_a_terminal_shows_one_live_view_and_gets_its_cursor_back() -> None:
    seen, code = on_a_terminal(
        "from ray_pipeline.runtime.progress import progress\n"
        "import time\n"
        "with progress(stages=('read', 'search', 'fit')) as show:\n"
        "    show.stage('read'); show.rows(327346, 327346)\n"
        "    show.stage('search'); show.trial(12, 32, 0.7012, 'auc', left_s=41); time.sleep(0.6)\n"
        "    show.note('trial 3 failed and was started again'); time.sleep(0.3)\n"
    )
    assert code == 0
    assert "12/32 trials, best auc 0.7012, 41 s left" in seen
    assert "trial 3 failed and was started again" in seen
    assert seen.index(HIDE_CURSOR) < seen.rindex(SHOW_CURSOR)
    final = written(seen)[-700:]
    assert re.search(r"✓ read +327,346/327,346 rows, [\d,]+ rows/s", final)
    assert re.search(r"✓ search +12/32 trials", final)
    assert re.search(r"· fit", final)
    assert not re.search(r"\d{4}-\d\d-\d\d \d\d:", seen), "dated lines belong to logs, not to the live view"


@pytest.mark.parametrize(("ends", "exit_code"), [("raise KeyboardInterrupt", -2), ("raise ValueError('x')", 1)])
def test_an_interrupted_view_marks_the_stage_and_restores_the_terminal(ends: str, exit_code: int) -> None:
    script = (
        "from ray_pipeline.runtime.progress import progress\nwith progress(stages=('read',)) as show:\n   "
        f" show.stage('read')\n    {ends}\n"
    )
    seen, code = on_a_terminal(script)
    assert code in (exit_code, 128 - exit_code)
    assert seen.index(HIDE_CURSOR) < seen.rindex(SHOW_CURSOR)
    assert "✗" in seen


VIEW = (
    "from ray_pipeline.runtime.progress import progress\n"
    "import time\n"
    "with progress(stages=('read', 'search', 'fit')) as show:\n"
    "    show.stage('read'); show.rows(327346, 327346)\n"
    "    show.stage('search'); show.trial(12, 32, 0.7012, 'auc', left_s=41); time.sleep(0.3)\n"
)


def test_no_color_is_heeded() -> None:
    colours = r"\x1b\[[0-9;]*(?:3[0-7]|9[0-7]|38;|48;)[0-9;]*m"
    seen, code = on_a_terminal(VIEW)
    assert code == 0 and re.search(colours, seen)
    seen, code = on_a_terminal(VIEW, NO_COLOR="1")
    assert code == 0 and "12/32 trials" in seen and not re.search(colours, seen)


@pytest.mark.parametrize("columns", [30, 40, 60])
def test_a_narrow_terminal_gets_one_line_for_each_stage(columns: int) -> None:
    seen, code = on_a_terminal(VIEW, COLUMNS=str(columns))
    assert code == 0
    lines = written(seen).splitlines()
    assert max(map(len, lines)) <= columns
    assert [line.split()[1] for line in lines[-3:]] == ["read", "search", "fit"]


def test_a_dumb_terminal_gets_lines() -> None:
    seen, code = on_a_terminal(
        "from ray_pipeline.runtime.progress import progress\nwith progress(stages=('read',)) as show:\n   "
        " show.stage('read')\n",
        term="dumb",
    )
    assert code == 0
    assert "\x1b" not in seen
    assert all(DATED.match(line) for line in seen.splitlines())


@stage("search")
def searching(number: int) -> int:
    """Searches."""
    return number + 1


@stage("fit")
def failing() -> None:
    raise ValueError("no fit")


def test_a_stage_shows_where_it_is_called_in_the_current_progress_and_nowhere_else() -> None:
    show, other = Progress(), Progress()
    assert searching(1) == 2  # outside of a run it is a plain function
    with show.current():
        assert show.seconds == {}
        assert searching(1) == 2
        assert list(show.seconds) == ["search"] and show.last_stage == "search"
        with other.current():
            searching(1)
        with pytest.raises(ValueError, match="no fit"):
            failing()
        searching(1)
    assert searching(1) == 2
    assert list(show.seconds) == ["search", "fit"] and list(other.seconds) == ["search"]
    assert (searching.__name__, searching.__doc__) == ("searching", "Searches.")


def test_the_current_progress_ends_with_its_block_also_when_it_fails() -> None:
    show = Progress()
    with pytest.raises(KeyboardInterrupt), show.current():
        raise KeyboardInterrupt
    searching(1)
    assert show.seconds == {}


def test_two_runs_in_two_threads_show_their_own_stages() -> None:
    both, shows = threading.Barrier(2, timeout=30), [Progress(), Progress()]

    def run(show: Progress, name: str) -> None:
        with show.current():
            both.wait()
            stage(name)(lambda: None)()
            both.wait()

    threads = [
        threading.Thread(target=run, args=(show, name)) for show, name in zip(shows, ("read", "search"), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [list(show.seconds) for show in shows] == [["read"], ["search"]]


def test_a_stage_that_is_visited_twice_adds_its_seconds() -> None:
    show = Progress()
    with show.current():
        for _ in range(2):
            searching(1)
            show.done("search")
    first = show.seconds["search"]
    show.stage("search")
    assert show.finished()["search"] >= first
    assert show.last_stage == "search"


def test_for_machines_every_line_is_a_json_object(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), progress(stages=("read", "search"), of=JsonProgress) as show:
        show.stage("read")
        show.rows(10, 20)
        show.rows(11, 20)  # too early for a line
        show.rows(20, 20)
        show.stage("search")
        show.stage("search")
        show.trial(3, 32, 0.7, "auc", left_s=41.26)
        show.note("sqlite:///p:secret@host/db has moved\nelsewhere")
        raise KeyboardInterrupt
    out, err = capfd.readouterr()
    events = [json.loads(line) for line in err.splitlines()]
    assert out == ""
    assert [(one["event"], one["stage"]) for one in events] == [
        ("started", "read"),
        ("rows", "read"),
        ("rows", "read"),
        ("done", "read"),
        ("started", "search"),
        ("trials", "search"),
        ("note", "search"),
        ("stopped", "search"),
    ]
    assert [(one["done"], one["total"]) for one in events if one["event"] == "rows"] == [(10, 20), (20, 20)]
    trials = {"done": 3, "total": 32, "best": 0.7, "metric": "auc", "left_s": 41.3}
    assert trials.items() <= events[5].items()
    assert "secret" not in err and "has moved\nelsewhere" in events[6]["text"]
    assert events[3]["seconds"] >= 0 and all(datetime.fromisoformat(one["time"]).tzinfo for one in events)


def test_quiet_writes_no_event(capfd: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True, of=JsonProgress) as show:
        show.stage("read")
    assert capfd.readouterr().err == ""
