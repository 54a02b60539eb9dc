"""Drawing charts: milliseconds beside plotext 6, and bytes a frame through Textual.

Run: `OMP_NUM_THREADS=1 python benchmarks/charts.py [rounds]` (15). Curves are noisy exponentials. `first` is
the median over drawings with nothing kept from before, `again` over repaints in which only the cursor moved,
and plotext draws the same points as braille lines in a figure of that size. Times are CPU time, which other
work on the machine changes little. The frames are those of a chart that fills a terminal of 120x36, run in a
pseudo-terminal: what is written from the change until nothing more comes.
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lvmtui.charts import drawing as charts
from lvmtui.charts.figure import OKABE_ITO, Axes, Curve, Level, Plot

sys.path.insert(0, str(Path(__file__).parent))
from common.terminal import Terminal

AXES = Axes(x="step")
KEYS = {
    "one more point of the longest curve": "p",
    "one more epoch": "e",
    "the cursor moves": "c",
    "another curve's last value changed": "v",
}
QUIET = 0.6
"""Seconds without output after which a frame is over."""

_generator = np.random.default_rng(0)


def curve(points: int, number: int = 0) -> Curve:
    x = np.arange(float(points))
    y = 5 * np.exp(-3 * x / points) + 1 + 0.2 * _generator.standard_normal(points) + 0.1 * number
    return Curve(f"run {number}", x, y)


def median_ms(
    action: Callable[[], object], rounds: int, before: Callable[[], object] = lambda: None
) -> float:
    times = []
    for _ in range(rounds):
        before()
        begin = time.process_time()
        action()
        times.append(time.process_time() - begin)
    return 1000 * statistics.median(times)


def by_plotext(curves: Sequence[Curve], width: int, height: int) -> str:
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    for position, one in enumerate(curves):
        colour = OKABE_ITO[position % len(OKABE_ITO)]
        rgb = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
        marker = plotext.marker("braille", rgb)
        figure.draw(figure.signal(one.x.tolist(), one.y.tolist(), marker=marker).lines())
    text = str(figure.build().string())
    figure.clear()
    return text


def drawing(rounds: int) -> None:
    print(f"{'':36} {'first':>9} {'again':>9} {'plotext':>9} {'ratio':>7}")
    for name, width, height, groups in (
        ("1 curve of 2 000 points, 120x36", 120, 36, [[curve(2000)]]),
        ("20 charts of 2 000 points, 40x10", 40, 10, [[curve(2000, i)] for i in range(20)]),
        ("50 curves of 1 000 points, 180x50", 180, 50, [[curve(1000, i) for i in range(50)]]),
        (
            "12 charts of 50 x 1 000, 58x10",
            58,
            10,
            [[curve(1000, i) for i in range(50)] for _ in range(12)],
        ),
        ("1 curve of 50 000 points, 180x50", 180, 50, [[curve(50_000)]]),
        ("50 the same, smoothed and clipped", 180, 50, [[curve(1000, i) for i in range(50)]]),
    ):
        axes = replace(AXES, smoothing=0.9, clip=True) if "smoothed" in name else AXES
        places = itertools.count(10)

        def draw(axes: Axes, groups: Sequence[Sequence[Curve]], width: int, height: int) -> list[Plot]:
            return [charts.plot_chart(group, width=width, height=height, axes=axes) for group in groups]

        first = median_ms(lambda: draw(axes, groups, width, height), rounds, charts.forget)  # noqa: B023
        again = median_ms(
            lambda: draw(replace(axes, cursor=float(next(places))), groups, width, height),  # noqa: B023
            rounds,
        )
        other = median_ms(
            lambda: [by_plotext(group, width, height) for group in groups],  # noqa: B023
            max(3, rounds // 5),
        )
        ratio = "" if "smoothed" in name else f"{other / first:6.0f}x"
        shown = "" if "smoothed" in name else f"{other:6.0f} ms"
        print(f"{name:36} {first:6.2f} ms {again:6.2f} ms {shown:>9} {ratio:>7}")


def frames() -> None:
    """What a terminal of 120x36 is sent for one change of the chart that fills it."""
    terminal = Terminal([sys.executable, __file__, "--chart"], cols=120, rows=36)
    try:
        terminal.wait_for(lambda output: b"epoch" in output)
        whole = len(terminal.output) + len(_until_quiet(terminal))
        print(f"\nbytes a frame at 120x36 through Textual; the first: {whole}")
        for name, key in KEYS.items():
            sizes = []
            for _ in range(5):
                terminal.send(key)
                sizes.append(len(_until_quiet(terminal)))
            print(f"{name:36} {statistics.median(sizes):6.0f} bytes, at most {max(sizes)}")
    finally:
        terminal.close()


def _until_quiet(terminal: Terminal) -> bytes:
    taken = b""
    while got := terminal.read(QUIET):
        taken += got
    return taken


def show_chart() -> None:
    """A chart in a terminal that changes at the press of a key."""
    from textual.app import ComposeResult

    from lvmtui.parts.repaint import ThinRepaint
    from lvmtui.widgets.panel import Panel

    whole = curve(1000)

    class Chart(Panel):
        points, epochs, last, at = 600, 30, 0.0, None

        def draw(self, width: int, height: int) -> Sequence[object]:
            epochs = np.arange(1.0, self.epochs + 1)
            rising = 2 + 4 * (1 - np.exp(-epochs / 8))
            rising[-1] += self.last
            shown = [
                Curve("validation", epochs, rising, best_x=float(self.epochs - 2)),
                Curve("training", whole.x[: self.points] / 20, whole.y[: self.points]),
            ]
            return charts.plot_chart(
                shown,
                width=width,
                height=height,
                levels=(Level("copy-last", 3.0), Level("loss", 5.5, target=True)),
                axes=Axes(cursor=self.at, window=(self.epochs - 2.0, self.epochs)),
            ).lines

    class Program(ThinRepaint):
        def compose(self) -> ComposeResult:
            yield Chart()

        def on_key(self, event: object) -> None:
            chart = self.query_one(Chart)
            match getattr(event, "key", ""):
                case "p":
                    chart.points += 1
                case "e":
                    chart.epochs += 1
                case "v":
                    chart.last -= 0.2
                case "c":
                    chart.at = (chart.at or 5.0) + 1
            chart.redraw()

    Program().run()


def main() -> None:
    if "--chart" in sys.argv:
        show_chart()
        return
    drawing(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
    frames()


if __name__ == "__main__":
    main()
