"""What is left of a training: at most, and if it gets no better."""

from dataclasses import replace
from typing import Any

import pytest

from lvmtui.remaining import remaining
from lvmtui.store.records import Progress

AT_FOUR = Progress(epoch=4, epochs=20, step=40, steps=200, epoch_seconds=10.0, patience_used=1, patience=3)


@pytest.mark.parametrize(
    ("changes", "recipe", "worst", "likely"),
    [
        ({}, {}, 160, 20),
        ({"step": 45}, {}, 155, 15),
        ({"patience_used": 0}, {}, 160, 30),
        ({"patience_used": 3}, {}, 160, 0),
        ({"patience": 100}, {}, 160, 160),
        ({"patience": 0, "patience_used": 0}, {}, 160, 160),
        # Epoch 10 is the first that counts (100 steps), and the eleventh ends it.
        ({}, {"min_steps": 100}, 160, 70),
        ({}, {"min_steps": 95}, 160, 70),
        ({}, {"min_steps": 10_000}, 160, 160),
        # Evaluated at 6 and 9.
        ({}, {"every": 3}, 160, 50),
        ({}, {"every": 3, "min_steps": 70}, 160, 80),
        ({"epoch": 20, "step": 200}, {}, 0, 0),
    ],
)
def test_what_is_left(changes: dict[str, Any], recipe: dict[str, int], worst: float, likely: float) -> None:
    found = remaining(replace(AT_FOUR, **changes), **recipe)
    assert found is not None
    assert found == pytest.approx((worst, likely))


def test_nothing_is_known_before_the_first_epoch() -> None:
    assert remaining(replace(AT_FOUR, epoch=0, step=3, epoch_seconds=None)) is None
    assert remaining(Progress()) is None


def test_it_agrees_with_a_training_that_gains_nothing() -> None:
    """Epoch by epoch, against the engine's own rule."""
    from engine.stopping import EarlyStopping

    for patience, min_steps, every, epochs in [(3, 0, 1, 20), (2, 55, 1, 20), (3, 40, 2, 30), (2, 0, 7, 9)]:
        stopping = EarlyStopping(patience=patience, min_steps=min_steps)
        foretold, epoch = [], 0
        while epoch < epochs and not stopping.exhausted:
            epoch += 1
            if epoch % every == 0 or epoch == epochs:
                stopping.update(0.5, epoch=epoch, step=10 * epoch)
            progress = Progress(
                epoch=epoch,
                epochs=epochs,
                step=10 * epoch,
                steps=10 * epochs,
                epoch_seconds=1.0,
                patience_used=stopping.used,
                patience=patience,
            )
            left = remaining(progress, every=every, min_steps=min_steps)
            assert left is not None
            # Patience of the first value is not used: it is the first gain.
            if stopping.best is not None:
                foretold.append(epoch + left.likely)
        assert foretold == [epoch] * len(foretold), (patience, min_steps, every, epochs)
