"""Early stopping: what counts as a gain, when patience ends, going on from a saved state."""

import pytest

from engine.stopping import EarlyStopping


def feed(stopping: EarlyStopping, values: list[float]) -> list[int]:
    """Patience used after each value."""
    used = []
    for epoch, value in enumerate(values, start=1):
        stopping.update(value, epoch=epoch, step=10 * epoch)
        used.append(stopping.used)
    return used


def test_patience_counts_evaluations_without_a_gain_and_is_full_again_at_each() -> None:
    stopping = EarlyStopping(patience=3)
    assert feed(stopping, [0.1, 0.2, 0.15, 0.2, 0.3]) == [0, 0, 1, 2, 0]
    assert (stopping.best, stopping.best_epoch, stopping.exhausted) == (0.3, 5, False)
    assert feed(stopping, [0.3, 0.3, 0.29]) == [1, 2, 3]
    assert stopping.exhausted


def test_equal_is_no_gain() -> None:
    stopping = EarlyStopping(patience=1)
    assert feed(stopping, [0.2, 0.2]) == [0, 1]
    assert stopping.best_epoch == 1


def test_a_gain_must_exceed_min_delta_but_small_steps_add_up() -> None:
    stopping = EarlyStopping(patience=5, min_delta=0.01)
    assert feed(stopping, [0.100, 0.106, 0.109, 0.112]) == [0, 1, 2, 0]
    assert stopping.best == 0.112
    assert stopping.value_to_beat == pytest.approx(0.122)


def test_the_best_is_the_highest_even_where_it_is_no_gain() -> None:
    stopping = EarlyStopping(patience=5, min_delta=0.1)
    assert stopping.update(0.10, epoch=1, step=1)
    assert stopping.update(0.15, epoch=2, step=2)
    assert (stopping.best, stopping.best_epoch, stopping.used) == (0.15, 2, 1)


def test_patience_does_not_count_before_min_steps() -> None:
    stopping = EarlyStopping(patience=2, min_steps=40)
    assert feed(stopping, [0.3, 0.2, 0.2, 0.2, 0.2]) == [0, 0, 0, 1, 2]


def test_nothing_to_beat_before_the_first_value() -> None:
    assert EarlyStopping(patience=1).value_to_beat is None


def test_it_goes_on_from_a_saved_state() -> None:
    values = [0.1, 0.2, 0.19, 0.18, 0.25, 0.2, 0.2]
    whole = EarlyStopping(patience=9, min_delta=0.001)
    feed(whole, values)
    for cut in range(len(values)):
        first = EarlyStopping(patience=9, min_delta=0.001)
        feed(first, values[:cut])
        second = EarlyStopping(patience=9, min_delta=0.001)
        second.load_state_dict(first.state_dict())
        for epoch, value in enumerate(values[cut:], start=cut + 1):
            second.update(value, epoch=epoch, step=10 * epoch)
        assert second.state_dict() == whole.state_dict()
