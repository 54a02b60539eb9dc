"""`lvmtui models`: what a recipe can name, and how large it gets."""

import json
import subprocess
import sys

import pytest

from lvmtui.architectures import ARCHITECTURES, parameters
from lvmtui.recipe import ModelSection


def test_every_model_is_listed_with_its_size(lvmtui):
    done = lvmtui("models")
    assert done.code == 0
    for name, facts in ARCHITECTURES.items():
        (row,) = (text for text in done.out.splitlines() if text.split()[:1] == [name])
        size = parameters(ModelSection.model_validate({"name": name}), dim=768, context=1000)
        assert f"{size:,}".replace(",", " ") in row
        assert facts.summary in row
        assert facts.source in row
    assert "768 numbers" in done.out


def test_sizes_follow_the_options(lvmtui):
    arguments = ("-o", "hidden=64", "-o", "model.layers=2", "--dim", "32", "--context", "9", "--json")
    records = {record["name"]: record for record in json.loads(lvmtui("models", *arguments).out)}
    assert set(records) == set(ARCHITECTURES)
    for name, record in records.items():
        section = ModelSection.model_validate({"name": name, "hidden": 64, "layers": 2})
        assert record["parameters"] == parameters(section, dim=32, context=9)
        assert record["context"] == 9
        assert 0 < record["head_parameters"] < record["parameters"]


def test_one_model_tells_its_options_and_what_they_mean(lvmtui):
    done = lvmtui("models", "lane_experts", "-o", "rank=8")
    assert done.code == 0
    for option in ARCHITECTURES["lane_experts"].options:
        assert f"model.{option} " in done.out
    assert "model.slots" not in done.out
    assert "rank of each expert's map" in done.out
    record = json.loads(lvmtui("models", "lane_experts", "-o", "rank=8", "--json").out)
    assert record["options"]["rank"] == {
        "value": 8,
        "allowed": "1 <= integer <= 4096",
        "meaning": "rank of each expert's map (lane_experts)",
    }


def test_what_one_model_cannot_be_the_others_can(lvmtui):
    done = lvmtui("models", "-o", "hidden=100")
    assert done.code == 0
    rows = {text.split()[0]: text for text in done.out.splitlines() if text}
    assert "✖ a transformer needs" in rows["transformer"]
    assert "✖" not in rows["gru"]
    records = {item["name"]: item for item in json.loads(lvmtui("models", "-o", "hidden=100", "--json").out)}
    assert records["transformer"]["parameters"] is None
    assert "multiple" in records["transformer"]["error"]
    refused = lvmtui("models", "transformer", "-o", "hidden=100")
    assert refused.code == 1
    assert "multiple of twice model.heads" in refused.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["transfromer"], "Did you mean transformer?"),
        (["-o", "lr=1"], "fields of a recipe's model section"),
        (["-o", "model.name=gru"], "the model's name as the argument"),
        (["-o", "hiden=1"], "Did you mean model.hidden?"),
        (["-o", "hidden=1"], "8 <= integer <= 8192"),
        (["--dim", "0"], "--help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_said(lvmtui, arguments, words):
    done = lvmtui("models", *arguments)
    assert done.code in {1, 2}
    assert done.out == ""
    assert words in done.err


def test_it_needs_neither_torch_nor_a_store(tmp_path):
    code = (
        "import sys; from lvmtui.cli import main; main(['models']); "
        "sys.exit(bool({'torch', 'numpy', 'sqlalchemy', 'textual'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
