"""When links try again."""

import pytest

from lvmtui.remote.connection import Timing
from lvmtui.remote.retrying import JITTER, Backoff


def around(seconds):
    return pytest.approx(seconds, rel=JITTER)


def test_waits_twice_as_long_each_time_up_to_a_minute():
    backoff = Backoff(Timing())
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        assert backoff.failed(lasted=0.0, needs_user=False) == around(seconds)


def test_waits_long_where_somebody_has_to_do_something():
    assert Backoff(Timing()).failed(lasted=0.0, needs_user=True) == around(60)


def test_a_good_connection_counts_and_a_short_one_does_not():
    backoff = Backoff(Timing())
    for _ in range(4):
        backoff.failed(lasted=0.0, needs_user=False)
    assert backoff.failed(lasted=5.0, needs_user=False) == around(16)
    assert backoff.failed(lasted=600.0, needs_user=False) == around(1)
    backoff.failed(lasted=0.0, needs_user=False)
    backoff.forget()
    assert backoff.failed(lasted=0.0, needs_user=False) == around(1)


def test_hosts_do_not_try_all_at_once():
    assert len({Backoff(Timing()).failed(lasted=0.0, needs_user=False) for _ in range(20)}) > 10
