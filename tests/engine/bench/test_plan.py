"""What can be asked for, and what is refused before anything is measured."""

import pytest

from engine.bench.plan import CONTEXTS, Plan, parse_contexts, parse_precisions
from lvmtui.errors import UsageError


def test_contexts_are_sorted_and_said_once() -> None:
    assert parse_contexts("500, 100,500") == (100, 500)


@pytest.mark.parametrize("text", ["", "0", "-5", "ten", "100,,200", "1e3", "100;200"])
def test_what_is_no_context_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_contexts(text)


def test_precisions_come_in_one_order() -> None:
    assert parse_precisions("int8, fp32") == ("fp32", "int8")
    with pytest.raises(ValueError, match="unknown precision fp8; there are fp32, bf16"):
        parse_precisions("fp8")


def test_without_a_wish_the_contexts_are_those_that_fit() -> None:
    assert Plan().lengths(10_000) == CONTEXTS
    assert Plan().lengths(700) == (100, 500)
    assert Plan().lengths(40) == (40,)


def test_a_context_longer_than_the_data_is_refused() -> None:
    assert Plan(contexts=(480,)).lengths(480) == (480,)
    with pytest.raises(UsageError, match="481 cannot be measured: the run's data have 480 vectors") as raised:
        Plan(contexts=(10, 481)).lengths(480)
    assert raised.value.hint == "Ask for 480 at most."


def test_precisions_go_by_the_device() -> None:
    assert Plan().chosen("cpu") == ("fp32", "bf16", "int8")
    assert "int8" not in Plan().chosen("cuda")
    with pytest.raises(UsageError, match="fp16 is not measured on a processor"):
        Plan(precisions=("fp16",)).chosen("cpu")
    with pytest.raises(UsageError, match="int8 is not measured on cuda"):
        Plan(precisions=("int8",)).chosen("cuda")
