"""Credentials in every form that a URI, a header, a Python value or the environment gives them."""

import json

import pytest

from ray_pipeline.cli.output import finish, to_json
from ray_pipeline.errors import PipelineError, Problem
from ray_pipeline.redaction import redacted

CANARY = "canary4f1d2b"
LEAKS = {
    "login": f"postgresql://reader:{CANARY}@db:5432/mlflow did not answer",
    "token as login": f"https://{CANARY}@registry/api",
    "password with @": f"cannot open mysql://reader:a@{CANARY}@db/mlflow",
    "password with /": f"mysql://reader:a/{CANARY}@db/mlflow",
    "login without a scheme": f"expected host:6379, got 'me:{CANARY}@host:6379'",
    "no user": f"redis://:{CANARY}@host:6379",
    "signed URL of S3": f"https://b.s3.amazonaws.com/k?X-Amz-Credential={CANARY}&X-Amz-Signature={CANARY}&part=1",
    "signed URL of Azure": f"https://a.blob.core.windows.net/c?sv=2024&sig={CANARY}%2B",
    "query": f"s3://access@bucket?secret_key={CANARY}",
    "Python value": f"{{'password': '{CANARY}', 'rows': 3}}",
    "JSON": json.dumps({"api_key": CANARY}),
    "header": f"Authorization: Bearer {CANARY}",
    "quoted with a space": f"'password': 'ab {CANARY}', \"api_key\": \"x;{CANARY}\", token='a,{CANARY}'",
    "a line of its own": f"password: {CANARY}",
    "another header": f"x-api-key: {CANARY}",
    "bare bearer": f"curl -H Bearer {CANARY}",
    "private key in a query": f"snowflake://h/d?private_key={CANARY}",
    "PEM": f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
    "connection string": f"AccountName=a;AccountKey={CANARY};EndpointSuffix=core.windows.net",
}
HARMLESS = (
    "http://127.0.0.1:5000/models/a@champion",
    "s3://bucket/a@b.parquet",
    "abfss://container@account.dfs.core.windows.net/rows",
    "unknown key 'token', which looks like a secret",
    "set RAY_AUTH_MODE=token, and the token in RAY_AUTH_TOKEN or its file's path in RAY_AUTH_TOKEN_PATH",
    "models:/loans@champion",
    "the bearer authentication of the server failed",
    "loans.yaml:12: gates: auc@champion",
    "sqlite:////srv/runs/mlflow.db",
)


@pytest.mark.parametrize("text", LEAKS.values(), ids=LEAKS.keys())
def test_credentials_are_replaced(text: str) -> None:
    assert CANARY not in redacted(text)
    assert "***" in redacted(text)
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_stays(text: str) -> None:
    assert redacted(text) == text


def test_secrets_of_the_environment_are_replaced_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SERVICE_TOKEN", f"{CANARY}/+")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://user:{CANARY}-password@host")
    monkeypatch.setenv("GREETING", "good morning")
    monkeypatch.setenv("ANY_TOKEN", "short")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/home/me/token")
    for name in ("MYSQL_PWD", "DB_PASS", "GITHUB_PAT", "SIGN_PRIVATE_KEY", "AZURE_STORAGE_KEY"):
        monkeypatch.setenv(name, f"{name.lower()}-{CANARY}")
        assert redacted(f"it says {name.lower()}-{CANARY}") == "it says ***"
    monkeypatch.setenv("DATABASE", f"mysql://me:ab%2F{CANARY}%40x@db/m")
    assert redacted(f"denied: ab/{CANARY}@x") == "denied: ***"
    text = f"good morning {CANARY}/+ {CANARY}%2F%2B {CANARY}-password short /home/me/token"
    assert redacted(text) == "good morning *** *** *** short /home/me/token"


def test_no_problem_holds_credentials_in_any_of_its_texts() -> None:
    leak = LEAKS["login"]
    problem = Problem(found=leak, fix=leak, file=leak)
    assert CANARY not in str(problem) + str(problem.as_json()) + str(PipelineError(problem))


def test_answers_and_tracebacks_hold_no_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    assert CANARY not in to_json({"url": LEAKS["query"], "list": [LEAKS["login"]]})

    def fails() -> None:
        raise ValueError(LEAKS["login"])

    assert finish(fails, json=True, debug=True) == 1
    out, err = capsys.readouterr()
    assert "ValueError" in out
    assert "Traceback" in err
    assert CANARY not in out + err
