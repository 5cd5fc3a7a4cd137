"""What every verb does at its end: exit code, problems on standard error, JSON as the last line, a clean process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from ray_pipeline import errors
from ray_pipeline.cli import MODEL_VERBS, RUN_VERBS, VERBS, build, main
from ray_pipeline.cli.output import Answer, add_verb, finish, to_json
from ray_pipeline.errors import Interrupted, PipelineError, Problem, SpecError

ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PipelineError)]


def raising(error: BaseException) -> Callable[[], dict[str, Any]]:
    def work() -> dict[str, Any]:
        print("printed before the error")
        raise error

    return work


def ended(capfd: pytest.CaptureFixture[str], work: Callable[[], Any], **modes: bool) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON answer and standard error."""
    code = finish(work, json=True, **modes)
    out, err = capfd.readouterr()
    (line,) = out.splitlines()
    return code, json.loads(line), err


def test_the_exit_codes_are_those_of_the_contract() -> None:
    codes = {kind.__name__: kind.exit_code for kind in ERRORS}
    assert codes == {
        "PipelineError": 1,
        "SpecError": 2,
        "DataError": 3,
        "ResourceError": 4,
        "RegistryError": 5,
        "StorageError": 6,
        "NoTrialFinished": 8,
        "Interrupted": 130,
    }


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_ends_with_its_exit_code_and_every_problem(
    kind: type[PipelineError], capfd: pytest.CaptureFixture[str]
) -> None:
    problems = [Problem(found="one", fix="repair it", file="a.yaml", line=3), Problem(found="two")]
    code, answer, err = ended(capfd, raising(kind(problems)))
    assert code == answer["exit"] == kind.exit_code
    assert answer["status"] == ("interrupted" if kind is Interrupted else "error")
    assert answer["problems"] == [problem.as_json() for problem in problems]
    assert err.splitlines() == ["printed before the error", *map(str, problems)]


def test_an_answer_ends_with_its_own_exit_code_and_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    code, answer, err = ended(capfd, raising(Answer({"status": "refused", "exit": 7, "model": None})))
    assert (code, answer) == (7, {"status": "refused", "exit": 7, "model": None})
    assert err == "printed before the error\n"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_is_exit_130(interruption: BaseException, capfd: pytest.CaptureFixture[str]) -> None:
    code, answer, _ = ended(capfd, raising(interruption))
    assert (code, answer["status"], answer["problems"][0]["found"]) == (130, "interrupted", "interrupted")


def test_sigterm_is_an_interruption_and_the_handlers_are_restored(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    code, answer, _ = ended(capfd, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert (code, answer["status"]) == (130, "interrupted")
    assert signal.getsignal(signal.SIGTERM) is before


def test_any_other_exception_is_a_bug_of_ours_with_a_traceback_only_on_request(
    capfd: pytest.CaptureFixture[str],
) -> None:
    code, answer, err = ended(capfd, raising(ZeroDivisionError("by zero")))
    assert code == answer["exit"] == 1
    (problem,) = answer["problems"]
    assert problem["found"] == "a bug of ray-pipeline: ZeroDivisionError: by zero"
    file = Path(problem["fix"].removeprefix("report it with ").removesuffix(", which holds the traceback"))
    assert file.read_text().startswith("Traceback") and "ZeroDivisionError: by zero" in file.read_text()
    file.unlink()
    assert "Traceback" not in err
    assert "Traceback" in ended(capfd, raising(ZeroDivisionError("by zero")), debug=True)[2]
    assert "Traceback" in ended(capfd, raising(SpecError(Problem(found="x"))), debug=True)[2]


def test_what_an_error_knows_beside_its_problems_is_in_the_answer(capfd: pytest.CaptureFixture[str]) -> None:
    error = SpecError(Problem(found="one"))
    error.answer = {"run": "loans-1", "status": "different"}
    _, answer, _ = ended(capfd, raising(error))
    assert (answer["run"], answer["status"], answer["exit"]) == ("loans-1", "different", 2)


@pytest.mark.parametrize("work", [lambda: None, dict, lambda: {"run": "loans-1"}])
def test_a_verb_that_returns_is_done(work: Callable[[], Any], capfd: pytest.CaptureFixture[str]) -> None:
    code, answer, err = ended(capfd, work)
    assert (code, answer, err) == (0, {"status": "done", "exit": 0, **(work() or {})}, "")


def test_without_json_standard_output_is_the_verbs_own_and_is_restored(capfd: pytest.CaptureFixture[str]) -> None:
    out = sys.stdout
    assert finish(lambda: print("for people")) == 0
    assert capfd.readouterr() == ("for people\n", "")
    finish(raising(ValueError()), json=True)
    assert sys.stdout is out


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def without_infinities(value: Any) -> Any:
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, list):
        return [without_infinities(item) for item in value]
    return {key: without_infinities(item) for key, item in value.items()} if isinstance(value, dict) else value


@given(values)
def test_json_is_one_strict_line_and_numbers_that_are_not_finite_are_null(value: Any) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    line = to_json(value)
    assert "\n" not in line
    assert json.loads(line, parse_constant=refuse) == without_infinities(value)


def test_json_takes_tuples_numpy_floats_keys_of_any_type_and_paths() -> None:
    value = {1: (np.float64("inf"), np.float64(0.5)), "path": Path("a/b"), "price": Decimal("1.5")}
    assert json.loads(to_json(value)) == {"1": [None, 0.5], "path": "a/b", "price": "1.5"}


def test_a_verb_is_given_the_modes_that_it_has_and_every_command_takes_all_three() -> None:
    app, given_modes = typer.Typer(), []
    app.callback()(lambda: None)

    def plain(number: int) -> dict[str, Any]:
        return {"number": number}

    def modes(*, quiet: bool = False, debug: bool = False) -> None:
        given_modes.append((quiet, debug))

    add_verb(app, plain)
    add_verb(app, modes, "other-name")
    for words in (["plain", "3"], ["plain", "3", "--quiet", "--debug"]):
        called = CliRunner().invoke(app, [*words, "--json"])
        assert (called.exit_code, json.loads(called.stdout)) == (0, {"status": "done", "exit": 0, "number": 3})
    for words in ([], ["--quiet"], ["--debug", "--quiet"]):
        assert CliRunner().invoke(app, ["other-name", *words]).exit_code == 0
    assert given_modes == [(False, False), (True, False), (True, True)]


def test_every_verb_has_a_help_text_and_describes_each_of_its_options() -> None:
    root: Any = typer.main.get_command(build())
    groups = ("models", "runs")
    commands = {name: one for name, one in root.commands.items() if name not in groups}
    for group in groups:
        commands |= {f"{group} {name}": one for name, one in root.commands[group].commands.items()}
    assert len(commands) == len(VERBS) + len(MODEL_VERBS) + len(RUN_VERBS) + len(groups)  # each has a `list`
    for name, command in commands.items():
        assert command.help, name
        assert {"--json", "--quiet", "--debug"} <= {option for one in command.params for option in one.opts}, name
        assert [one.name for one in command.params if not one.help] == [], name


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["chekc"], "No such command 'chekc'"),
        (["check"], "Missing argument 'SPEC'"),
        (["check", "a.yaml", "--sett", "a=b"], "No such option"),
        (["ui", "--port", "0"], "Invalid value for '--port'"),
    ],
)
def test_a_wrong_command_line_is_exit_2_and_a_problem_like_any_other(
    words: list[str], found: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gc.freeze", lambda: None)
    monkeypatch.setattr(sys, "argv", ["ray-pipeline", *words, "--json"])
    with pytest.raises(SystemExit) as ended_with:
        main()
    out, err = capsys.readouterr()
    answer = json.loads(out.splitlines()[-1])
    assert ended_with.value.code == answer["exit"] == 2
    assert found in answer["problems"][0]["found"] and found in err
    assert answer["problems"][0]["fix"].startswith("use ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_one_command_installs_completion_and_it_knows_verbs_and_runs(shell: str, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "loans-01234567-1" / "spec.yaml"
    run.parent.mkdir(parents=True)
    run.write_text("name: loans\n")
    program = str(Path(sys.executable).with_name("ray-pipeline"))
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"  # the shell is that of the parameter

    def typed(*words: str, **more: str) -> str:
        told = subprocess.run(
            [program, *words], cwd=tmp_path, env=environment | more, capture_output=True, text=True, timeout=60
        )
        assert told.returncode == 0, told.stderr
        return told.stdout

    assert f"{shell} completion installed in" in typed("--install-completion", shell)
    (script,) = (path for path in tmp_path.rglob("*ray-pipeline*") if path.is_file())
    assert "_RAY_PIPELINE_COMPLETE" in script.read_text()
    for begun, whole in (("ru", "run runs"), ("report lo", run.parent.name)):
        asked = {"COMP_WORDS": f"ray-pipeline {begun}", "COMP_CWORD": str(len(begun.split()))}
        asked |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        found = typed(**asked, _TYPER_COMPLETE_ARGS=f"ray-pipeline {begun}", _RAY_PIPELINE_COMPLETE=f"complete_{shell}")
        assert all(word in found for word in whole.split()), found


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029", "\x0b", "\x0c", "\x1c", "\n"])
def test_the_answer_is_one_line_whatever_its_texts_hold(end: str) -> None:
    line = to_json({"found": f"column 'a{end}b'"})
    assert line.splitlines() == [line]
    assert json.loads(line) == {"found": f"column 'a{end}b'"}


def test_a_reader_that_stops_reading_is_no_error() -> None:
    verb = "from ray_pipeline.cli.output import finish; import typer; "
    verb += "raise SystemExit(finish(lambda: [typer.echo('line ' * 9_000) for _ in range(99)] and None))"
    with subprocess.Popen([sys.executable, "-c", verb], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(4)
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)
