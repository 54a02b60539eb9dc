"""What an audit found, in words and as a chart, for the command line. No Textual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lvmtui.findings import counted_by_severity
from lvmtui.format import counted, thousands
from lvmtui.store.records import Severity

if TYPE_CHECKING:
    from rich.text import Text

    from lvmtui.charts.figure import Curve, Look
    from lvmtui.findings import Finding

LAG_CURVE = "lag-curve"
"""The check whose evidence is the lag curve."""

_COLOURS = ("", "#a7adb7", "#a7adb7")


def finding_from(record: Mapping[str, Any]) -> Finding:
    """A finding out of the JSON that the engine prints."""
    from lvmtui.findings import Finding

    return Finding(
        check=str(record["check"]),
        message=str(record["message"]),
        severity=Severity(record["severity"]),
        advice=str(record["advice"]),
        evidence=dict(record["evidence"]),
        data=str(record["data_fingerprint"] or ""),
    )


def verdict(findings: Sequence[Finding], what: str) -> str:
    """All findings in a sentence.

    Args:
        findings: on data or on a run, those that found nothing wrong included.
        what: `these data`, or the run's name.
    """
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    warnings = sum(finding.severity is Severity.WARN for finding in findings)
    passed = len(findings) - errors - warnings
    counts = counted_by_severity(findings)
    counts += [f"{counted(passed, 'check')} passed"] if passed else []
    if errors:
        start = f"Scores on {what} can't be trusted" if what == "these data" else f"Don't trust {what}"
    else:
        start = f"Take {what} with care" if warnings else f"Nothing wrong was found with {what}"
    return f"{start}: {', '.join(counts)}." if counts else f"{start}."


def lag_curves(finding: Finding) -> list[Curve]:
    """The lag curve and both bounds of chance; empty where the evidence has none."""
    import numpy as np

    from lvmtui.charts.figure import Curve

    try:
        x = np.array(finding.evidence["lags"], dtype=np.float64)
        columns = [
            (name, np.array(finding.evidence[key], dtype=np.float64))
            for name, key in (("vectors", "cosine"), ("chance ≤", "null_high"), ("chance ≥", "null_low"))
        ]
    except (KeyError, TypeError, ValueError):
        return []
    if not len(x) or any(values.shape != x.shape for _, values in columns):
        return []
    return [
        Curve(name, x, values, colour=colour)
        for (name, values), colour in zip(columns, _COLOURS, strict=True)
    ]


def lag_heading(finding: Finding) -> str:
    """What the chart shows, in a line."""
    horizon = finding.evidence.get("horizon")
    lags = finding.evidence.get("lags") or [0]
    said = "no lag stands out from chance"
    if isinstance(horizon, int):
        said = f"nothing beyond lag {thousands(horizon)}" if horizon < lags[-1] else "above chance throughout"
    return f"Mean cosine by lag, and what 95% of random pairings give (chance): {said}"


def lag_chart(finding: Finding, *, width: int, height: int, look: Look) -> tuple[Text, ...]:
    """The lag curve over its null, on a logarithmic axis: `height` lines of `width` cells."""
    from lvmtui.charts.drawing import curve_chart
    from lvmtui.charts.figure import Axes

    axes = Axes(x="lag", log_x=True, from_zero=True)
    return curve_chart(lag_curves(finding), width=width, height=height, axes=axes, look=look)
