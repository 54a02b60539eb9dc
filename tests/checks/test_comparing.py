"""What keeps runs from being compared is said; runs that can be compared are left alone."""

from dataclasses import replace
from typing import Any

from lvmtui.checks.comparing import Compared, check_comparison
from lvmtui.findings import Finding
from lvmtui.store.lifecycle import Result, Status
from lvmtui.store.records import Protocol, Run, Severity
from tests.checks.histories import an_evaluation

SPEC: dict[str, Any] = {
    "name": "doc-v1",
    "version": 1,
    "data": "d1",
    "split": {"by": "document", "fractions": {"train": 0.8, "test": 0.1}, "seed": 0, "name": "validation"},
    "near_duplicate": 0.98,
    "within_document": False,
}


def compared(
    number: int,
    score: float,
    *,
    recipe: str = "",
    seed: int = 0,
    looks: int = 0,
    pool: int = 5000,
    **spec: Any,
) -> Compared:
    """A run with a score, judged under a protocol that may differ from the others'."""
    made = {**SPEC, **spec}
    protocol = Protocol(
        id=str(hash(repr(sorted(made.items())) + str(pool))),
        name=str(made["name"]),
        data_fingerprint=str(made["data"]),
        spec=made,
        split=str(made["split"]["name"]),
        n=4000,
        pool=pool,
        duplicate_share=0.0,
        documents=40,
    )
    run = Run(
        id=number,
        revision=1,
        phase="phase",
        status=Status.DONE,
        result=Result.COMPLETED,
        recipe="{}",
        recipe_hash=recipe or f"r{number}",
        overrides={},
        seed=seed,
        model="gru",
        context=100,
        watch="hit5",
        targets={},
        data="x",
        folder="runs/1",
        created=0.0,
    )
    evaluation = an_evaluation(5, score, protocol_id=protocol.id, pool=pool, split=protocol.split)
    return Compared(run, evaluation, protocol, looks)


def several(number: int, score: float, **more: Any) -> list[Compared]:
    """Three seeds of a recipe."""
    return [
        compared(10 * number + seed, score + 0.001 * seed, recipe=f"r{number}", seed=seed, **more)
        for seed in range(3)
    ]


def only(items: list[Compared]) -> Finding:
    found = check_comparison(items)
    assert len(found) == 1, [(finding.check, finding.message) for finding in found]
    return found[0]


def test_runs_that_can_be_compared_have_no_findings() -> None:
    """Three seeds each, far apart, one look at the test split."""
    items = [*several(1, 0.30), *several(2, 0.40)]
    assert check_comparison([replace(item, looks=1) for item in items]) == []


def test_one_run_is_no_comparison() -> None:
    assert check_comparison([compared(1, 0.3, looks=5)]) == []


def test_different_data() -> None:
    found = only([compared(1, 0.3), compared(2, 0.5, data="d2")])
    assert (found.check, found.severity) == ("different-data", Severity.ERROR)
    assert found.message.endswith("phase #1: fingerprint d1; phase #2: fingerprint d2")


def test_different_protocol_and_pool() -> None:
    old = compared(2, 0.7565, pool=115, name="window-v0", flaws=["windows were split at random"])
    found = {finding.check: finding for finding in check_comparison([compared(1, 0.5), old])}
    assert set(found) == {"different-protocol", "different-pool"}
    assert "doc-v1" in found["different-protocol"].message
    assert "window-v0" in found["different-protocol"].message
    assert "5 000 for 4 000 queries" in found["different-pool"].message
    assert "115" in found["different-pool"].message
    assert "lvmtui equate" in found["different-pool"].advice


def test_different_split_seed() -> None:
    found = only([compared(1, 0.3), compared(2, 0.3, split={**SPEC["split"], "seed": 7})])
    assert found.check == "different-split"
    assert found.message.endswith("phase #1: seed 0; phase #2: seed 7"), "only what differs is named"


def test_test_against_validation() -> None:
    found = only([compared(1, 0.3), compared(2, 0.3, split={**SPEC["split"], "name": "test"})])
    assert found.check == "different-split"


def test_different_filter() -> None:
    found = only([compared(1, 0.3), compared(2, 0.3, within_document=True)])
    assert found.check == "different-filter"
    assert found.message.endswith("phase #1: within document off; phase #2: within document on")


def test_a_protocol_that_nobody_knows() -> None:
    found = only([compared(1, 0.3), replace(compared(2, 0.3, data="d2"), protocol=None)])
    assert found.check == "different-protocol"
    assert "how phase #2 was judged is not recorded" in found.message


def test_overlapping_intervals_and_single_seeds() -> None:
    found = {finding.check: finding for finding in check_comparison([compared(1, 0.40), compared(2, 0.41)])}
    assert set(found) == {"overlapping-intervals", "single-seed"}
    assert "phase #1 and phase #2" in found["overlapping-intervals"].message
    assert "[38.0, 42.0]" in found["overlapping-intervals"].message
    assert "1 seed of the recipe of phase #1, phase #2" in found["single-seed"].message


def test_two_seeds_are_few_when_intervals_overlap() -> None:
    items = [*several(1, 0.40)[:2], *several(2, 0.41)[:2]]
    assert "few-seeds" in [finding.check for finding in check_comparison(items)]


def test_mrr_has_intervals_of_its_own() -> None:
    items = [compared(1, 0.30), compared(2, 0.40)]
    wide = [
        replace(item, evaluation=replace(item.evaluation, details={"mrr_interval": [0.1, 0.3]}))
        for item in items
    ]
    assert [finding.check for finding in check_comparison(wide, "mrr")] == [
        "overlapping-intervals",
        "single-seed",
    ]
    assert [finding.check for finding in check_comparison(items, "mrr")] == ["single-seed"]


def test_more_looks_at_the_test_split_than_one() -> None:
    test = {**SPEC["split"], "name": "test"}
    items = [compared(1, 0.30, looks=3, split=test), compared(2, 0.40, looks=3, split=test)]
    found = {finding.check: finding for finding in check_comparison(items)}
    assert found["test-looks"].severity is Severity.WARN
    assert "3 times" in found["test-looks"].message
    once = {finding.check for finding in check_comparison([replace(item, looks=1) for item in items])}
    assert "test-looks" not in once
    validation = check_comparison([compared(1, 0.30, looks=3), compared(2, 0.40, looks=3)])
    assert next(item for item in validation if item.check == "test-looks").passed
