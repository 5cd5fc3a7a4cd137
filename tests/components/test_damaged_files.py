"""A damaged model file whose sums were made right again is refused: it never ends the process that scores with it."""

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ray_pipeline.bundle import Bundle
from ray_pipeline.checksums import SUMS, sums
from ray_pipeline.components.models import _catboost_file, _lightgbm_file, _xgboost_file
from ray_pipeline.errors import PipelineError, RegistryError

GOLDEN = Path(__file__).parents[1] / "golden" / "0.2.0"
FLIPS = 60
FILES = {
    "xgboost": "model.ubj",
    "lightgbm": "model.txt",
    "catboost": "model.cbm",
    "linear": "model.safetensors",
    "mlp": "model.safetensors",
}
XGBOOST = (GOLDEN / "xgboost" / "bundle" / "model.ubj").read_bytes()
CATBOOST = (GOLDEN / "catboost" / "bundle" / "model.cbm").read_bytes()
LIGHTGBM = (GOLDEN / "lightgbm" / "bundle" / "model.txt").read_text()


def damaged(content: bytes, draw: random.Random) -> bytes:
    """The content with flipped bits, other digits, bytes from elsewhere in it, or without its end."""
    changed, kind = bytearray(content), draw.randrange(4)
    place = draw.randrange(len(content))
    if kind == 0:
        changed[place] ^= 1 << draw.randrange(8)
    elif kind == 1:
        digits = [at for at, byte in enumerate(content) if 48 <= byte < 58]
        changed[draw.choice(digits)] = draw.choice(b"0123456789-")
    elif kind == 2:
        size, source = draw.randrange(1, 64), draw.randrange(len(content))
        changed[place : place + size] = content[source : source + size]
    else:
        del changed[place:]
    return bytes(changed)


def use_damaged(family: str, folder: Path) -> int:
    """How many of the damaged bundles are refused; those that load can score and explain, or say why not."""
    bundle, draw = folder / "bundle", random.Random(family)
    shutil.copytree(GOLDEN / family / "bundle", bundle)
    rows = pq.read_table(GOLDEN / family / "rows.parquet").slice(0, 20)
    content, refused = (bundle / FILES[family]).read_bytes(), 0
    for _ in range(FLIPS):
        (bundle / FILES[family]).write_bytes(damaged(content, draw))
        (bundle / SUMS).write_text(sums(bundle))
        try:
            loaded = Bundle.load(bundle)
        except PipelineError:
            refused += 1
            continue
        loaded.score(rows)
        loaded.contributions(loaded.encoder.apply(loaded.select(rows)))
    return refused


@pytest.mark.parametrize("family", FILES)
def test_no_damage_ends_the_process(family: str, tmp_path: Path) -> None:
    code = f"import test_damaged_files as t, pathlib; print(t.use_damaged({family!r}, pathlib.Path({str(tmp_path)!r})))"
    program = f"import sys; sys.path[:0] = {[str(Path(__file__).parent), *sys.path]!r}; {code}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert int(ended.stdout.splitlines()[-1]) > FLIPS / 10


def number(value: int, size: int = 4) -> bytes:
    """A number as XGBoost's file has it."""
    return value.to_bytes(size, signed=True)


def with_first(name: str, place: int, value: bytes) -> Callable[[bytes], bytes]:
    """Changes a value in the first array of that name in XGBoost's file."""

    def change(content: bytes) -> bytes:
        start = content.index(name.encode() + b"[$") + len(name) + 13 + place * len(value)
        return content[:start] + value + content[start + len(value) :]

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (with_first("left_children", 0, number(1000)), "neighbours"),
        (with_first("left_children", 0, number(-7)), "neighbours"),
        (with_first("right_children", 0, number(1000)), "neighbours"),
        (with_first("parents", 1, number(2)), "two parents"),
        (with_first("split_indices", 0, number(1000)), "names no feature"),
        (with_first("split_indices", 0, number(-1)), "names no feature"),
        (with_first("split_type", 0, number(1, 1)), "no set of its own"),
        (with_first("split_type", 0, number(2, 1)), "no known kind"),
        (with_first("categories_segments", 0, number(1 << 40, 8)), "outside its list"),
        (with_first("categories_sizes", 0, number(1 << 40, 8)), "outside its list"),
        (with_first("categories", 0, number(1 << 30)), "impossible code"),
        (with_first("categories_nodes", 0, number(-1)), "no set of its own"),
        (lambda content: content.replace(b"left_children", b"left_childrem", 1), "no model of XGBoost"),
        (lambda content: content.replace(b"gbtree", b"gbline"), "booster is 'gbline'"),
        (lambda content: content + b"}", "its value ends"),
        (lambda content: content[:-1], "in the middle of a value"),
        (lambda content: b"[#L" + number(1, 8), "begins 1 bytes, and 0 are left"),
        (lambda content: b"[#L\0\0\0\0\0\0\0\1" * 40, "too deeply"),
        (lambda content: b"{L\0\0\0\0\0\0\0\1aTL\0\0\0\0\0\0\0\1aT}", "occurs twice"),
    ],
)
def test_what_leads_nowhere_in_a_file_of_xgboost_is_named(change: Callable[[bytes], bytes], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        _xgboost_file.check_file(change(XGBOOST))


def test_a_way_that_leads_back_is_found_in_a_file_of_xgboost() -> None:
    """Node 3 gets the children of node 1, whose parent it is said to be."""
    back = with_first("left_children", 1, number(1))(XGBOOST)
    back = with_first("right_children", 1, number(2))(back)
    with pytest.raises(ValueError, match="two parents"):
        _xgboost_file.check_file(back)


def line(name: str, value: str) -> Callable[[str], str]:
    """Changes the first line of that name in LightGBM's file, and the size of its tree."""

    def change(content: str) -> str:
        start = content.index(f"\n{name}=") + len(name) + 2
        end = content.index("\n", start)
        grown = len(value) - (end - start)
        grown = 0 if name == "tree_sizes" else grown
        return (content[:start] + value + content[end:]).replace("sizes=768", f"sizes={768 + grown}")

    return change


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (line("left_child", "9 2 -1 -2 -4"), "a child that there is not"),
        (line("left_child", "1 2 -1 -2 -40"), "a child that there is not"),
        (line("left_child", "1 1 -1 -2 -4"), "comes before it"),
        (line("left_child", "1 2 -1 -1 -4"), "a leaf has no parent, or two"),
        (line("left_child", "1 2 -1 -2"), "another number of values"),
        (line("left_child", "1 2 -1 -2 -4.5"), "holds no numbers"),
        (line("left_child", "1 2 -1 -2 0x4"), "holds no numbers"),
        (line("split_feature", "0 2 0 1 5"), "names no feature"),
        (line("decision_type", "2 9 2 8 99"), "no known kind"),
        (line("decision_type", "2 9 9 8 10"), "no set of its own"),
        (line("cat_boundaries", "0 3"), "another number of values"),
        (line("cat_threshold", "99999999999"), "impossible word"),
        (line("num_leaves", "7"), "another number of values"),
        (line("leaf_value", "0 0 0 0 0 x"), "holds no numbers"),
        (line("is_linear", "1"), "of another kind"),
        (line("max_feature_idx", "5"), "an entry for each feature"),
        (line("num_class", "4"), "do not fit"),
        (line("objective", "multiclass num_class:30"), "another number of classes"),
        (line("tree_sizes", "768 751"), "more than tree_sizes says"),
        (lambda content: content.replace("sizes=768", "sizes=767"), "leads into a tree"),
        (lambda content: content.replace("left_child", "kindl_left"), "does not say left_child"),
        (lambda content: content.replace("\n", "\r\n"), "does not write"),
        (lambda content: content[:400], "beyond the file|does not begin"),
    ],
)
def test_what_leads_nowhere_in_a_file_of_lightgbm_is_named(change: Callable[[str], str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        _lightgbm_file.check_file(change(LIGHTGBM))


def cut_into(place: int, value: bytes) -> Callable[[bytes], bytes]:
    """Changes the bytes at a place of CatBoost's file."""
    return lambda content: content[:place] + value + content[place + len(value) :]


def of_catboost(*values: int) -> int:
    """The place of these numbers in CatBoost's file, which has them once, before the values of leaves."""
    return CATBOOST.index(b"".join(value.to_bytes(4, "little") for value in values))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (cut_into(of_catboost(10, 21, 7, 11), number(1000)[::-1]), "a split asks for nothing"),
        (cut_into(of_catboost(3, 3, 3, 3, 3), number(4)[::-1]), "do not fit their splits"),
        (cut_into(of_catboost(0, 3, 6, 9) + 4, number(4)[::-1]), "does not begin where"),
        (cut_into(4, number(1 << 30)[::-1]), "longer than the file"),
        (cut_into(8, number(1 << 20)[::-1]), "an offset leads to byte"),
        (cut_into(0, b"CBM2"), "does not begin as a file of CatBoost"),
        (lambda content: content + b"\0", "something follows the model"),
        (lambda content: content[:-1], "longer than the file"),
        (lambda content: content.replace(b"\xff" * 8, bytes(8)), "a search in a table has no end"),
    ],
)
def test_what_leads_nowhere_in_a_file_of_catboost_is_named(change: Callable[[bytes], bytes], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        _catboost_file.check_file(change(CATBOOST))


def test_the_error_of_a_damaged_file_names_the_file_and_what_is_wrong(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(GOLDEN / "xgboost" / "bundle", bundle)
    (bundle / "model.ubj").write_bytes(with_first("split_indices", 0, number(1000))(XGBOOST))
    (bundle / SUMS).write_text(sums(bundle))
    with pytest.raises(RegistryError, match="a split names no feature"):
        Bundle.load(bundle)


def test_weights_that_do_not_fit_their_columns_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load, save

    bundle = tmp_path / "bundle"
    shutil.copytree(GOLDEN / "linear" / "bundle", bundle)
    file = bundle / "model.safetensors"
    weights = load(file.read_bytes())["weights"]
    size = int.from_bytes(file.read_bytes()[:8], "little")
    about = json.loads(file.read_bytes()[8 : 8 + size])["__metadata__"]
    file.write_bytes(save({"weights": weights[1:]}, about))
    (bundle / SUMS).write_text(sums(bundle))
    with pytest.raises(RegistryError, match="weights"):
        Bundle.load(bundle)


@pytest.mark.parametrize("written", ["[0]", "[]", "[0, 0, 0, 0, 0]", "[1, 1, 1, 1, 1, 1]", '["x"]', "7"])
def test_catboost_of_other_columns_than_the_encoder_has_is_refused_at_load(written: str, tmp_path: Path) -> None:
    from ray_pipeline.components.models._catboost import import_catboost

    bundle = tmp_path / "bundle"
    shutil.copytree(GOLDEN / "catboost" / "bundle", bundle)
    model = import_catboost().CatBoost().load_model(bundle / "model.cbm")
    model.get_metadata()["cardinalities"] = written
    model.save_model(str(bundle / "model.cbm"))
    (bundle / SUMS).write_text(sums(bundle))
    with pytest.raises(RegistryError, match=r"model\.json: cannot be read"):
        Bundle.load(bundle)
