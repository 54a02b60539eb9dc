"""`lvmtui equate`: stored runs, published histories, scores typed in."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lvmtui import stats
from lvmtui.store.records import EpochReport, Progress, QueryFact
from lvmtui.store.writer import Writer
from tests.cli.conftest import DOCUMENTS, POOL, QUERIES, evaluation, ranks

LEGACY = Path(__file__).parents[3] / "shared" / "data" / "legacy"


def publish(path, n, best):
    """A history whose best epoch has these counts of hits."""
    rows = [(n // 5, n // 3, n // 2), best]
    history = [
        {"epoch": epoch}
        | {f"hit@{k}": float(np.float32(c / n)) for k, c in zip((1, 5, 10), row, strict=True)}
        for epoch, row in enumerate(rows, start=1)
    ]
    path.write_text(json.dumps({"history": history, "args": {}}))
    return str(path)


def of(output, **wanted):
    """The one record that fits."""
    (found,) = [
        item for item in json.loads(output) if all(item[key] == value for key, value in wanted.items())
    ]
    return found


def with_candidates(stored, *scores):
    """A finished run all of whose queries had the whole pool as candidates."""
    run = stored.finished(*scores)
    fact = QueryFact("candidates", stats.pack_ranks(np.full(QUERIES, POOL)))
    Writer(stored.database, run.id).save_query_facts("p1", [fact])
    return run


def test_a_run_is_put_on_a_smaller_pool_from_its_ranks(stored, lvmtui):
    run = with_candidates(stored, 0.15, 0.2)
    done = lvmtui("equate", str(run.id), "--pool", "50", "--json")
    assert (done.code, done.err) == (0, "")
    found = of(done.out, pool=50, k=5)
    assert found["hit"] == pytest.approx(stats.equated_hits(ranks(0.2, 2), POOL, 50, 5).mean())
    assert found["interval"][0] < found["hit"] < found["interval"][1]
    assert found["how"] == "equated from ranks"
    assert (found["run"], found["protocol"], found["data"], found["n"]) == (run.id, "p1", "f" * 16, QUERIES)
    assert of(done.out, pool=POOL, k=5)["hit"] == pytest.approx(0.2)
    assert {item["k"] for item in json.loads(done.out)} == {1, 5, 10}


def test_candidates_follow_from_the_protocol_where_none_are_stored(stored, lvmtui):
    writer = stored.started()
    stored._judged(writer)
    judged = evaluation(0.2)
    found = np.minimum(ranks(0.2, 1), POOL - QUERIES // DOCUMENTS)
    judged = replace(judged, ranks=stats.pack_ranks(found))
    writer.epoch(EpochReport(Progress(1, 3, 10, 30, best_epoch=1), (), judged))
    # What stands before the target in its document is no candidate.
    candidates = POOL - np.tile(np.arange(1, QUERIES // DOCUMENTS + 1), DOCUMENTS)
    moved = of(lvmtui("equate", "last", "-p", "100", "--json").out, pool=100, k=10)
    assert moved["hit"] == pytest.approx(stats.equated_hits(found, candidates, 100, 10).mean())


def test_ranks_that_do_not_fit_their_queries_are_refused(stored, lvmtui):
    stored.finished(0.2)
    assert "do not fit its queries" in lvmtui("equate", "last", "-p", "100").err


def test_the_table_holds_baselines_any_k_and_what_is_extrapolated(stored, lvmtui):
    with_candidates(stored, 0.2)
    done = lvmtui("equate", "last", "--pool", "100", "--pool", "900", "--k", "3", "--baselines")
    assert done.code == 0
    lines = done.out.splitlines()
    assert "Hit@3" in lines[0]
    assert "Hit@5" not in lines[0]
    assert sum(text.startswith("phase-1 #1") for text in lines) == 3
    assert sum(text.startswith("ewm") for text in lines) == 3
    assert sum(text.startswith("copy-last") for text in lines) == 3
    assert sum("extrapolated" in text for text in lines) == 3
    assert all(" 900 " in text for text in lines if "extrapolated" in text)


def test_a_published_history_gives_away_its_pool(tmp_path, lvmtui):
    path = publish(tmp_path / "old.json", 230, (115, 153, 172))
    done = lvmtui("equate", path, "--pool", "115", "--json")
    assert "best epoch 2 of 2; n = pool = 230" in done.err
    moved = of(done.out, pool=115, k=5)
    assert moved["how"] == "estimated from Hit@1/5/10"
    low, high = moved["possible"]
    assert 153 / 230 < low < moved["hit"] < high
    own = of(done.out, pool=230, k=5)
    assert own["possible"] is None
    wilson = stats.wilson_interval(153, 230)
    assert own["interval"] == pytest.approx([wilson.low, wilson.high])


def test_a_smaller_pool_cannot_be_enlarged_without_ranks(tmp_path, lvmtui):
    path = publish(tmp_path / "old.json", 58, (26, 36, 42))
    done = lvmtui("equate", path, "--pool", "115")
    assert done.code == 0
    assert "needs ranks: its own pool is smaller" in done.out


def test_runs_and_files_stand_in_one_table(stored, lvmtui, tmp_path):
    with_candidates(stored, 0.2)
    path = publish(tmp_path / "old.json", 230, (115, 153, 172))
    done = lvmtui("equate", "last", path, "--pool", "115")
    assert "phase-1 #1" in done.out
    assert "old " in done.out


def test_typed_scores(lvmtui):
    done = lvmtui("equate", "--hits", "61.74,75.65,81.74", "--n", "115", "--pool", "58", "--json")
    own = of(done.out, pool=115, k=5)
    assert own["interval"] == pytest.approx([0.6706, 0.8258], abs=1e-4)
    assert of(done.out, pool=58, k=5)["hit"] > 0.7565
    wrong = lvmtui("equate", "--hits", "61.74,75.65,81.74", "--n", "100", "--pool", "58")
    assert "no whole numbers" in wrong.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["last"], "on which pool?"),
        (["--pool", "50"], "name runs or files"),
        (["last", "--hits", "1,2,3", "--pool", "50"], "name runs or files"),
        (["last", "--n", "5", "--pool", "50"], "belong to --hits"),
        (["--hits", "1,2", "--n", "50", "--pool", "20"], "is not Hit@1"),
        (["--hits", "3,2,1", "--n", "50", "--pool", "20"], "is not Hit@1"),
        (["--hits", "nan,2,a", "--n", "50", "--pool", "20"], "is not Hit@1"),
        (["--hits", "1,2,101", "--n", "50", "--pool", "20"], "is not Hit@1"),
        (["--hits", "1,2,3", "--pool", "20"], "how many queries"),
        (["--hits", "1,2,3", "--n", "5", "--pool", "2"], "Hit@10 says nothing"),
        (["last", "--pool", "1"], "--pool"),
    ],
)
def test_wrong_usage_is_said_in_words(lvmtui, arguments, words):
    done = lvmtui("equate", *arguments)
    assert done.code == 2
    assert words in done.err
    assert "Traceback" not in done.err


def test_what_cannot_be_equated_is_said_in_words(stored, lvmtui, tmp_path):
    stored.new()
    assert "has not been evaluated yet" in lvmtui("equate", "last", "--pool", "50").err
    assert "there is no run" in lvmtui("equate", "77", "--pool", "50").err
    (tmp_path / "meta.json").write_text('{"context_length": 5, "val_sequences": 7}')
    assert "only describe data" in lvmtui("equate", str(tmp_path / "meta.json"), "--pool", "50").err
    (tmp_path / "odd.json").write_text(
        json.dumps({"history": [{"epoch": 1, "hit@1": 0.0, "hit@5": 0.0, "hit@10": 1.0}]})
    )
    assert "does not give away" in lvmtui("equate", str(tmp_path / "odd.json"), "--pool", "50").err
    for name in ("none.json", "meta.json"):
        assert lvmtui("equate", str(tmp_path / name), "--pool", "50").code == 1


def test_names_in_files_cannot_steer_the_terminal(tmp_path, lvmtui):
    path = publish(tmp_path / "\x1b[31mred.json", 230, (115, 153, 172))
    done = lvmtui("equate", path, "--pool", "115")
    assert done.code == 0
    assert "\x1b" not in done.out + done.err


def commands_of_the_page():
    """The commands in docs/legacy.md with what the page says that they print."""
    text = (Path(__file__).parents[2] / "docs" / "legacy.md").read_text()
    for block in text.split("```console\n")[1:]:
        command, _, output = block.partition("```")[0].partition("\n")
        yield command.removeprefix("$ lvmtui ").split(), output


def test_the_page_on_the_published_results_says_what_the_commands_print(lvmtui, monkeypatch):
    if not LEGACY.is_dir():
        pytest.skip("the published histories are not there")
    monkeypatch.chdir(LEGACY)
    blocks = list(commands_of_the_page())
    assert len(blocks) >= 3
    for command, output in blocks:
        done = lvmtui(*command)
        assert (done.out + done.err).strip() == output.strip()
