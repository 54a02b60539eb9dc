"""The learning rate over the real number of steps."""

import pytest

from engine.schedule import Schedule


def test_warms_up_to_the_peak_and_anneals_to_almost_nothing() -> None:
    schedule = Schedule(peak=0.1, total=100, warmup=0.1, kind="cosine")
    rates = [schedule.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[9] == pytest.approx(0.1)
    assert rates[10] == pytest.approx(0.1)
    assert rates[55] == pytest.approx(0.05)
    assert rates[99] < 0.0001
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_constant_stays_at_the_peak() -> None:
    schedule = Schedule(peak=0.1, total=10, warmup=0.2, kind="constant")
    assert [schedule.rate(step) for step in range(10)] == pytest.approx([0.05] + [0.1] * 9)


@pytest.mark.parametrize("total", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 0.99])
def test_few_steps_all_have_a_rate(total: int, warmup: float) -> None:
    schedule = Schedule(peak=1.0, total=total, warmup=warmup, kind="cosine")
    assert all(0 < schedule.rate(step) <= 1 for step in range(total))
