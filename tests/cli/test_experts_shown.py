"""Expert use of a `lane_experts` run on the terminal and in exports."""

import json

from lvmtui.experts import KEY


def put(stored, details):
    run = stored.finished(0.1)
    with stored.database.write() as connection:
        text = json.dumps(details)
        connection.exec_driver_sql("UPDATE evaluation SET details = ? WHERE run_id = ?", (text, run.id))


def test_show_tells_the_experts_of_each_lane_with_its_queries(lvmtui, stored):
    lanes = [
        {"name": "news", "n": 500, "share": [0.9, 0.1, 0.0]},
        {"name": "law \x1b[31m[red]", "n": 100, "share": [0.0, 0.25, 0.75]},
    ]
    put(stored, {KEY: {"source": "given in lanes.npy", "share": [0.75, 0.125, 0.125], "lanes": lanes}})
    shown = lvmtui("show", "1").out
    assert "n 600: expert 1 75.0 %, expert 2 12.5 %, expert 3 12.5 %; lanes given in lanes.npy" in shown
    assert "n 500: expert 1 90.0 %, expert 2 10.0 %, 1 never asked" in shown
    assert "n 100: expert 3 75.0 %, expert 2 25.0 %, 1 never asked" in shown
    assert "\x1b" not in shown
    assert "[red]" in shown


def test_show_of_a_run_without_experts_tells_nothing_of_them(lvmtui, stored):
    put(stored, {})
    assert "expert" not in lvmtui("show", "1").out
    put(stored, {KEY: "damaged"})
    assert lvmtui("show", "2").code == 0
