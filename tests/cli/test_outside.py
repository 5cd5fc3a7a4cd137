"""What comes from outside and is no ordinary file, text or number: told with an exit code, never a traceback or a
hang."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bundle_fixture import train

from ray_pipeline.bundle import Bundle
from ray_pipeline.checksums import SUMS, sums
from ray_pipeline.cli import main
from ray_pipeline.errors import RegistryError, SpecError
from ray_pipeline.plain_json import parse_json
from ray_pipeline.spec import Spec
from ray_pipeline.spec.expression import Expression
from ray_pipeline.spec.where import Where

SPEC = """name: loans
task: binary
features: {labels: {path: rows.parquet, label: bad}}
split: {by: random}
model: xgboost
"""


def told(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> tuple[int, dict[str, Any]]:
    """Exit code and first problem of a command."""
    monkeypatch.setattr("gc.freeze", lambda: None)
    monkeypatch.setattr(sys, "argv", ["ray-pipeline", *words, "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    answer = json.loads(capfd.readouterr().out.splitlines()[-1])
    return int(ended.value.code or 0), answer["problems"][0]


@pytest.mark.parametrize("device", [None, "/dev/zero", "/dev/null"])
def test_a_pipe_or_a_device_is_no_spec_and_no_cluster_file(
    device: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = device or str(tmp_path / "pipe.yaml")
    if device is None:
        os.mkfifo(path)
    (tmp_path / "loans.yaml").write_text(SPEC)
    for words in (["check", path], ["render", path], ["plan", str(tmp_path / "loans.yaml"), "--on", path]):
        code, problem = told(words, monkeypatch, capfd)
        assert (code, problem["found"], problem["file"]) == (2, "this is a pipe or a device", path)


def test_a_pipe_is_no_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "rows.parquet")
    (tmp_path / "loans.yaml").write_text(SPEC)
    code, problem = told(["check", str(tmp_path / "loans.yaml")], monkeypatch, capfd)
    assert code == 3 and problem["key"] == "features.labels.path"


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "9" * 5_000, '{"run": 1}', "", "\ufeff{}"])
def test_a_manifest_that_cannot_be_read_is_a_storage_error(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "manifest.json").write_text(content)
    code, problem = told(["rerun", str(tmp_path / "manifest.json")], monkeypatch, capfd)
    assert code == 6 and problem["file"] == str(tmp_path / "manifest.json")


def test_a_pipe_is_no_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    code, problem = told(["rerun", str(tmp_path / "manifest.json")], monkeypatch, capfd)
    assert (code, problem["found"]) == (6, "there is no manifest: the run is not complete")


def test_deep_json_is_no_json() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000)
    assert parse_json(b'{"a": [1, null]}') == {"a": [1, None]}


def test_a_deleted_current_folder_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for words in (["check", "a.yaml"], ["models", "list"], ["report", "a"]):
        assert told(words, monkeypatch, capfd)[0] == 6
    code, problem = told(["run", "a.yaml"], monkeypatch, capfd)
    assert (code, problem["found"]) == (6, "the current folder was deleted")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_a_terminal_without_a_character_of_a_name_gets_an_escape(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "größe €.yaml"
    file.write_text(SPEC.replace("bad}}", "größe €}}".replace(" ", "")), "utf-8")
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "ray_pipeline", "check", str(file)]
    ended = subprocess.run([*command, "--json"], capture_output=True, env=environment, timeout=120, check=False)
    answer = json.loads(ended.stdout.decode(encoding).splitlines()[-1])
    assert ended.returncode == answer["exit"] and ended.returncode in (2, 3)
    assert answer["problems"][0]["file"] == str(file)
    assert b"Traceback" not in ended.stderr


def test_bytes_of_the_command_line_that_are_no_text_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loans.yaml").write_text(SPEC)
    for words in (["b\udcff.yaml"], [str(tmp_path / "loans.yaml"), "--set", "name=\udcff"], ["a", "--on", "\udcff"]):
        code, problem = told(["check", *words], monkeypatch, capfd)
        assert code == 2 and problem["found"]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (f"seed: {'9' * 310}", "is too large for a number"),
        (f"search: {{target: {'9' * 310}}}", "is too large for a number"),
        (f"search: {{target: {'9' * 308}}}", None),
        (f"search: {{time: {'9' * 310}}}", "is too large for a number"),
        (f"search: {{time: {'9' * 310}d}}", "expected a length of time"),
        ("search: {time: 99999999999999999999d}", "expected a length of time"),
        ('checks: {ignore: ["a\\ud800"]}', "U+D800 is half of a character"),
        ('"b\\udfff": 1', "U+DFFF is half of a character"),
    ],
)
def test_numbers_and_texts_beyond_what_is_held_are_refused_in_the_spec(written: str, found: str | None) -> None:
    if found is None:
        assert Spec.from_text(SPEC + written, file="loans.yaml").search.target == float("9" * 308)
        return
    with pytest.raises(SpecError) as refused:
        Spec.from_text(SPEC + written, file="loans.yaml")
    (problem,) = refused.value.problems
    assert found in problem.found and problem.line == 6


def test_two_halves_of_a_character_as_json_writes_them_are_one_character() -> None:
    spec = Spec.from_text(SPEC + 'checks: {ignore: ["constant:\\ud83d\\ude00"]}', file="loans.yaml")
    assert spec.checks.ignore == ("constant:😀",)
    assert Spec.from_text(spec.render(), file="loans.yaml").fingerprint == spec.fingerprint


@pytest.mark.parametrize("number", ["9" * 310, "9" * 5_000, "1e999"])
def test_a_number_of_an_expression_beyond_float64_is_refused(number: str) -> None:
    for written in (f"a > {number}", f"a in [1, {number}]", f"a * -{number} > 1"):
        with pytest.raises(ValueError, match="this number is too large"):
            Expression.parse(written)
    assert Expression.parse(f"a in [{'9' * 308}]").evaluate(pa.table({"a": [1]})).to_pylist() == [False]


@pytest.mark.parametrize("memory", [f"{'9' * 400}GiB", "99999999999999999999", "9" * 30, "8388608TiB", "0B", "1e5GiB"])
def test_a_memory_size_beyond_64_bits_is_refused(memory: str, tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(f"memory: {memory}\n")
    with pytest.raises(SpecError, match="expected `auto` or a size like 8GiB"):
        Where.from_file(tmp_path / "cluster.yaml")


@pytest.mark.parametrize("name", ["schema.json", "model.json", "encoder.json", "calibration.json"])
@pytest.mark.parametrize("content", ["[" * 100_000, '{"format": 1, "a": ' + "[" * 700 + "]" * 700 + "}", "[]", "\xff"])
def test_json_of_a_bundle_that_cannot_be_read_is_a_registry_error(name: str, content: str, tmp_path: Path) -> None:
    folder = train(tmp_path).bundle.folder
    (folder / name).write_text(content, "latin-1")
    (folder / SUMS).write_text(sums(folder))
    if name == "schema.json" and "format" in content:
        return  # read, and not looked into
    with pytest.raises(RegistryError) as refused:
        Bundle.load(folder)
    assert refused.value.problems[0].file == str(folder / name)


def test_a_pipe_in_a_bundle_is_a_registry_error(tmp_path: Path) -> None:
    folder = train(tmp_path).bundle.folder
    (folder / "model.json").unlink()
    os.mkfifo(folder / "model.json")
    with pytest.raises(RegistryError, match="is missing"):
        Bundle.load(folder)
