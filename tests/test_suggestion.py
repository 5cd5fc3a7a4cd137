"""The commands that messages suggest can be pasted into a shell: spaces are quoted, the cluster file is named."""

import errno
import shlex
from pathlib import Path

import pytest
from run_fixture import run_at

from ray_pipeline.cli.init import init
from ray_pipeline.cli.jobs import _detached
from ray_pipeline.errors import PipelineError, Problem, RegistryError, ResourceError
from ray_pipeline.runs.problems import explained
from ray_pipeline.runtime.job_server import Job
from ray_pipeline.runtime.jobs import _under_way, _without_answer
from ray_pipeline.spec import Spec
from ray_pipeline.spec.where import ON, Where
from ray_pipeline.suggestion import RESUME, command

SPACED = "my cluster.yaml"


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Where:
    """The cluster file that the user named by a path with a space."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / SPACED).write_text("jobs: http://127.0.0.1:8265\n")
    return Where.find(SPACED, tmp_path)


def words(text: str) -> list[str]:
    """The words of the command between backticks, as a shell reads them."""
    return shlex.split(text.split("`")[1])


def problem_of(where: Where, tmp_path: Path, error: BaseException) -> Problem:
    spec = Spec.from_file(Path(__file__).parent.parent / "ray_pipeline/examples/adult/adult.yaml")
    run = run_at(tmp_path / "runs", spec)
    run.where = where
    with pytest.raises(PipelineError) as ended, explained(run):
        raise error
    (problem,) = ended.value.problems
    assert ended.value.answer == {"run": run.id}
    return problem


def test_a_path_with_a_space_is_one_word() -> None:
    assert shlex.split(command("run", Path("my tables/my spec.yaml"))) == [
        "ray-pipeline",
        "run",
        "my tables/my spec.yaml",
    ]


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        OSError(errno.ENOSPC, "No space left on device"),
        ResourceError(Problem(found="the head has gone", fix=f"start it, then {RESUME}")),
        RegistryError(Problem(key="registry", found="it does not answer", fix="start the server")),
    ],
)
def test_a_run_that_ends_early_names_its_id_and_the_cluster_file(
    error: BaseException, where: Where, tmp_path: Path
) -> None:
    problem = problem_of(where, tmp_path, error)
    (run,) = (path.name for path in (tmp_path / "runs").iterdir() if not path.name.startswith("."))
    assert words(problem.fix) == ["ray-pipeline", "resume", run, "--on", SPACED]


def test_a_job_suggests_what_its_submit_was_given(
    where: Where, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ON, "their cluster.yaml")
    assert words(problem_of(where, tmp_path, KeyboardInterrupt()).fix)[-2:] == ["--on", "their cluster.yaml"]


def test_suggestions_about_jobs_name_the_cluster_file(where: Where) -> None:
    job = Job(id="loans-01234567-1", status="STOPPED")
    asked = ["--on", SPACED]
    assert words(_under_way(job, where.on).problems[0].fix) == ["ray-pipeline", "logs", job.id, "--follow", *asked]
    stopped = _without_answer(job, [], where.on)["problems"][0]["fix"]
    assert words(stopped) == ["ray-pipeline", "resume", job.id, *asked]
    assert words(_detached(job.id, SPACED).problems[0].fix) == ["ray-pipeline", "logs", job.id, "--follow", *asked]


def test_init_suggests_a_command_that_a_shell_can_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = init("adult", tmp_path / "my examples")["spec"]
    suggested = capsys.readouterr().out.partition("Now: ")[2]
    assert shlex.split(suggested) == ["ray-pipeline", "run", spec]


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "let this user write there"),
        (errno.EACCES, "let this user write there"),
        (errno.EPERM, "let this user write there"),
    ],
)
def test_more_space_is_the_remedy_for_a_full_disk_alone(number: int, remedy: str, where: Where, tmp_path: Path) -> None:
    problem = problem_of(where, tmp_path, OSError(number, "refused", "/runs/model.ubj"))
    assert problem.fix.startswith(remedy) and "/runs/model.ubj" in problem.found
