"""Expert use as an evaluation keeps it, in words."""

import pytest

from lvmtui.experts import expert_use, words_of


def test_the_most_asked_experts_are_named_and_the_rest_added_up() -> None:
    share = [0.05, 0.0, 0.4, 0.3, 0.1, 0.08, 0.07, 0.0]
    assert words_of(share) == (
        "expert 3 40.0 %, expert 4 30.0 %, expert 5 10.0 %, expert 6 8.0 %, 2 others 12.0 %, 2 never asked"
    )
    assert words_of([0.25, 0.75]) == "expert 2 75.0 %, expert 1 25.0 %"
    assert words_of([0.2] * 5).count("expert") == 5


def test_details_are_read_with_names_made_harmless() -> None:
    lanes = [{"name": "law\x1b[31m", "n": 1200, "share": [0.9, 0.1]}, {"name": "b", "n": 3, "share": [0, 1]}]
    use = expert_use({"experts": {"source": "given", "share": [0.8, 0.2], "lanes": lanes}})
    assert use is not None
    assert "\x1b" not in use.lanes[0].lane
    assert use.everywhere.n == 1203
    assert use.lanes[0].words == "n 1 200: expert 1 90.0 %, expert 2 10.0 %"
    assert use.lanes[1].words == "n 3: expert 2 100.0 %, 1 never asked"


@pytest.mark.parametrize(
    "details", [{}, {"experts": None}, {"experts": {"lanes": []}}, {"experts": {"lanes": [{"name": "x"}]}}]
)
def test_what_cannot_be_read_is_left_out(details: dict[str, object]) -> None:
    assert expert_use(details) is None
