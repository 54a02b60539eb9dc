"""Checkpoint files: everything comes back bit by bit, nothing half-written stays, damage is refused."""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from engine import checkpoint
from lvmtui.errors import CheckpointError


def a_state() -> dict[str, Any]:
    shared = torch.randn(3, 4)
    return {
        "model": {
            "a.weight": shared,
            "a.tied": shared,
            "view": torch.randn(4, 5).T,
            "count": torch.tensor(7),
        },
        "optimizer": {0: {"step": torch.tensor(3.0)}, 1: {"exp_avg": torch.randn(2, dtype=torch.float64)}},
        "rng": {"torch": torch.get_rng_state(), "cuda": []},
        "position": {"epoch": 2, "loss_sum": 0.1 + 0.2, "best": None, "name": "ä"},
        "ema": None,
    }


def assert_same(found: Any, expected: Any) -> None:
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == {str(key) for key in expected}
        for key, value in expected.items():
            assert_same(found[str(key)], value)
    else:
        assert found == expected


def test_a_state_comes_back_bit_by_bit(tmp_path: Path) -> None:
    state = a_state()
    path = checkpoint.checkpoint_path(tmp_path / "checkpoints", 12)
    written = checkpoint.save(path, state)
    assert path.name == "step-00000012.safetensors"
    assert written.size == path.stat().st_size
    assert path.stat().st_mode & 0o777 == path.parent.stat().st_mode & 0o666
    assert_same(checkpoint.load(path, written.sha256), state)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_file_is_plain_safetensors_with_json_beside(tmp_path: Path) -> None:
    path = tmp_path / "step-00000001.safetensors"
    checkpoint.save(path, a_state())
    with safe_open(path, framework="pt") as opened:
        assert "model/a.weight" in opened.keys()  # noqa: SIM118 - no mapping
        assert json.loads(opened.metadata()["state"])["position"]["epoch"] == 2


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "step-00000001.safetensors"
    written = checkpoint.save(path, a_state())
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"step-00000001\.safetensors is damaged") as caught:
        checkpoint.load(path, written.sha256)
    assert "Restore" in caught.value.hint


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        checkpoint.load(tmp_path / "step-00000001.safetensors", "0" * 64)


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="has the format None"):
        checkpoint.load(path, hashlib.sha256(path.read_bytes()).hexdigest())


def test_strays_of_a_killed_process_go(tmp_path: Path) -> None:
    for name in ("step-1.safetensors", "step-2.safetensors", "step-3.safetensors.tmp", "notes.txt"):
        (tmp_path / name).touch()
    removed = checkpoint.remove_strays(tmp_path, known={"step-1.safetensors"})
    assert removed == ["step-2.safetensors", "step-3.safetensors.tmp"]
    assert {path.name for path in tmp_path.iterdir()} == {"step-1.safetensors", "notes.txt"}


_FILL = """
import sys, torch
from pathlib import Path
from engine import checkpoint
from lvmtui.errors import CheckpointError
folder = Path(sys.argv[1])
checkpoint.save(folder / "step-00000001.safetensors", {"a": torch.zeros(10)})
try:
    checkpoint.save(folder / "step-00000002.safetensors", {"a": torch.zeros(1_000_000)})
except CheckpointError as error:
    print(error.message)
"""


def test_a_full_disk_leaves_the_last_good_file_alone(tmp_path: Path) -> None:
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # noqa: E731
    done = subprocess.run(
        [sys.executable, "-P", "-c", _FILL, str(tmp_path)],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "cannot write the checkpoint" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.safetensors"]


def test_the_generators_go_on_where_they_stood() -> None:
    torch.manual_seed(3)
    torch.rand(5)
    state = checkpoint.rng_state()
    expected = torch.rand(5)
    torch.rand(7)
    checkpoint.restore_rng(state)
    assert torch.equal(torch.rand(5), expected)
