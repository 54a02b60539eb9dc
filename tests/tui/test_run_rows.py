"""What the list of runs shows of findings and of the gain over the baseline."""

from dataclasses import replace

import pytest

from lvmtui.config import ViewOptions
from lvmtui.findings import Finding
from lvmtui.snapshot import RunView
from lvmtui.store.records import Interval, Severity, Versus
from lvmtui.versus import KEY, as_details
from lvmtui.widgets import run_rows
from lvmtui.widgets.look import Ink
from tests.tui import snapshots

INK = Ink("text", "muted", "primary", "accent", "success", "warning", "error")
ERROR = Finding("a", "[bold]m[/bold]", Severity.ERROR)
WARNING = Finding("b", "m", Severity.WARN)
PASSED = Finding("c", "m")


def view(number: int = 15) -> RunView:
    return replace(next(item for item in snapshots.views() if item.run.id == number), findings=())


@pytest.mark.parametrize(
    ("findings", "words", "style"),
    [
        ((), "", ""),
        ((PASSED,), "", ""),
        ((WARNING, WARNING), "!2", "warning"),
        ((ERROR, WARNING, WARNING), "✖1", "error"),
    ],
)
def test_the_badge_counts_the_worst(findings: tuple[Finding, ...], words: str, style: str) -> None:
    cell = run_rows.findings(replace(view(), findings=findings), INK)
    assert cell.plain == words
    assert [span.style for span in cell.spans] == ([style] if style else [])


def test_an_error_needs_attention_and_a_warning_does_not() -> None:
    sound = view()
    assert not run_rows.needs_attention(sound)
    assert not run_rows.needs_attention(replace(sound, findings=(WARNING,)))
    wrong = replace(sound, findings=(ERROR,))
    assert run_rows.needs_attention(wrong)
    assert run_rows.chosen([sound, wrong], ViewOptions(attention=True))[0] == [wrong]


@pytest.mark.parametrize(
    ("low", "high", "style"),
    [(0.01, 0.05, "success"), (-0.01, 0.05, "warning"), (-0.05, -0.01, "error")],
)
def test_the_colour_of_the_gain_is_that_of_the_paired_comparison(low: float, high: float, style: str) -> None:
    first = view()
    assert first.best is not None
    assert first.baseline is not None
    compared = Versus(
        *(first.baseline.baseline or "", 0.02, Interval(low, high), 0.01), context=first.baseline.context
    )
    best = replace(first.best, details={KEY: as_details([compared])})
    shown = replace(first, best=best)
    assert run_rows.against(shown, INK).style == style
    assert run_rows.needs_attention(shown) == (style == "error")
