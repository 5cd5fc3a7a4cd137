"""Where keys are trusted, a version is used only if the holder of one of them has signed it."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from bundle_fixture import Trained
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from registry_fixture import NAME, add, model_folder

from ray_pipeline import load
from ray_pipeline.errors import DataError, RegistryError
from ray_pipeline.registry import Registry, signature, verify
from ray_pipeline.registry.private_mlflow import ADDED_FILE
from ray_pipeline.spec.where import Where


def key_pair(folder: Path, name: str) -> tuple[Path, Path]:
    """The files of a new private key and of its public key."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Two key pairs, `ours` and `theirs`."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: key_pair(folder, name) for name in ("ours", "theirs")}


@pytest.fixture
def signed(registry: Registry, trained: Trained, keys: dict[str, tuple[Path, Path]]) -> Registry:
    """A registry that trusts our key, with a version that we have signed."""
    add(registry, trained, "run-1", signing_key=keys["ours"][0])
    return replace(registry, trust_keys=(keys["ours"][1],))


def uses(registry: Registry) -> list[Callable[[str], object]]:
    """All that a version can be used for."""
    keys = registry.trust_keys
    return [
        registry.fetch,
        registry.verify,
        registry.promote,
        lambda model: registry.champion(NAME, alias="challenger"),
        lambda model: load(model, registry.uri, keys),
    ]


def refused(registry: Registry, why: str) -> None:
    for use in uses(registry):
        with pytest.raises(RegistryError, match=why) as told:
            use(f"{NAME}/1")
        assert "trust_keys" in told.value.problems[0].fix


def test_a_version_of_a_trusted_signer_is_used(signed: Registry, keys: dict[str, tuple[Path, Path]]) -> None:
    for trusted in ([keys["ours"][1]], [keys["theirs"][1], keys["ours"][1]]):
        for use in uses(replace(signed, trust_keys=tuple(trusted))):
            assert use(f"{NAME}/1")


def test_a_version_without_a_signature_is_refused_only_where_keys_are_trusted(
    registry: Registry, trained: Trained, keys: dict[str, tuple[Path, Path]]
) -> None:
    add(registry, trained, "run-1")
    assert registry.fetch(f"{NAME}/1")
    refused(replace(registry, trust_keys=(keys["ours"][1],)), "is not signed")


def test_a_version_of_another_signer_is_refused(signed: Registry, keys: dict[str, tuple[Path, Path]]) -> None:
    refused(replace(signed, trust_keys=(keys["theirs"][1],)), "has no signature of a trusted key .theirs.pub")


def test_a_bundle_that_was_changed_together_with_all_its_sums_and_tags_is_refused(
    signed: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = model_folder(signed, f"{NAME}/1") / "artifacts" / "bundle"
    (bundle / "calibration.json").write_text('{"kind": "none", "planted": 1}')
    lines = [line for line in (bundle / "SHA256SUMS").read_text().splitlines() if "calibration" not in line]
    digest = hashlib.sha256((bundle / "calibration.json").read_bytes()).hexdigest()
    (bundle / "SHA256SUMS").write_text("\n".join([*lines, f"{digest}  calibration.json"]) + "\n")
    # Who writes to the registry changes its tags, too.
    monkeypatch.setattr("ray_pipeline.registry.versions.bundle_folder", lambda _, model: model / "artifacts" / "bundle")
    for use in (signed.fetch, lambda model: load(model, signed.uri, signed.trust_keys)):
        with pytest.raises(RegistryError, match="Signature mismatch: Hash mismatch for"):
            use(f"{NAME}/1")


@pytest.mark.parametrize("file", ["code/ray_pipeline/bundle.py", "MLmodel", "verification/scores.npy", "code/new.py"])
def test_a_version_whose_other_files_were_changed_is_refused(signed: Registry, file: str) -> None:
    """MLflow runs `code/`, and `MLmodel` says what it loads: `fetch` hashes neither."""
    path = model_folder(signed, f"{NAME}/1") / file
    path.write_bytes((path.read_bytes() if path.exists() else b"") + b"\n")
    refused(signed, "has no signature of a trusted key")


def test_the_file_that_mlflow_adds_changes_nothing(signed: Registry) -> None:
    (model_folder(signed, f"{NAME}/1") / ADDED_FILE).write_text("model_name: x\n")
    for use in uses(signed):
        assert use(f"{NAME}/1")


def test_a_version_of_which_0_2_0_signed_the_bundle_alone_is_used_and_its_bundle_checked(
    signed: Registry, keys: dict[str, tuple[Path, Path]]
) -> None:
    model = model_folder(signed, f"{NAME}/1")
    folder = model.parent / signature.FOLDER
    (folder / signature.FILE).unlink()
    config = import_module("model_signing.signing").Config().use_elliptic_key_signer(private_key=keys["ours"][0])
    config.sign(model / "artifacts" / "bundle", folder / signature.FILE_OF_BUNDLE)
    for use in uses(signed):
        assert use(f"{NAME}/1")
    refused(replace(signed, trust_keys=(keys["theirs"][1],)), "has no signature of a trusted key")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff\xfe", None])
def test_a_signature_that_is_none_is_refused(signed: Registry, content: bytes | None) -> None:
    file = model_folder(signed, f"{NAME}/1").parent / signature.FOLDER / signature.FILE
    file.unlink() if content is None else file.write_bytes(content)
    refused(signed, "is not signed" if content is None else "has no signature of a trusted key")


def test_a_key_that_is_none_is_refused_before_a_run(tmp_path: Path, keys: dict[str, tuple[Path, Path]]) -> None:
    signature.refuse_unusable(keys["ours"][0])
    (tmp_path / "text.pem").write_text("no key")
    for wrong in (tmp_path / "absent.pem", tmp_path / "text.pem", keys["ours"][1]):
        with pytest.raises(DataError) as told:
            signature.refuse_unusable(wrong)
        (problem,) = told.value.problems
        assert (problem.key, problem.file) == ("register.sign", str(wrong))


def test_trusted_keys_start_at_the_folder_of_the_cluster_file(
    tmp_path: Path, keys: dict[str, tuple[Path, Path]]
) -> None:
    (tmp_path / "keys").mkdir()
    shutil.copy(keys["ours"][1], tmp_path / "keys" / "team.pub")
    (tmp_path / "on.yaml").write_text("trust_keys: keys/team.pub\n")
    where = Where.from_file(tmp_path / "on.yaml")
    assert where.key_files() == (tmp_path / "keys" / "team.pub",)
    moved = where.with_absolute_paths(Path("/spec"), Path("/here"))
    assert Where.model_validate(moved.model_dump(mode="json"), strict=False).key_files() == where.key_files()


def test_a_version_without_a_signature_is_not_rolled_back_to(
    registry: Registry, trained: Trained, keys: dict[str, tuple[Path, Path]]
) -> None:
    add(registry, trained, "run-1")
    add(registry, trained, "run-2", signing_key=keys["ours"][0])
    registry.promote(f"{NAME}/1")
    trusting = replace(registry, trust_keys=(keys["ours"][1],))
    trusting.promote(f"{NAME}/2")
    with pytest.raises(RegistryError, match="is not signed"):
        trusting.rollback(NAME)
    assert trusting.show(f"{NAME}@champion")["version"] == 2


def test_nothing_of_a_version_is_parsed_before_its_signature_is_checked(
    registry: Registry,
    trained: Trained,
    keys: dict[str, tuple[Path, Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add(registry, trained, "run-1")
    scored: list[object] = []
    monkeypatch.setattr(verify, "verify", lambda *given, **named: scored.append(given))
    with pytest.raises(RegistryError, match="is not signed"):
        replace(registry, trust_keys=(keys["ours"][1],)).verify(f"{NAME}/1")
    assert scored == []
