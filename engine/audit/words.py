"""How the audit writes numbers and findings."""

from collections.abc import Iterable

from engine.data.chunking import clean
from lvmtui.findings import Finding


def number(value: float) -> str:
    """A whole number in groups of three: `16 934`."""
    return f"{value:,.0f}".replace(",", " ")


def share(value: float) -> str:
    """A share in percent: `0.2%`, `<0.1%`, `97%`."""
    percent = 100 * value
    if 0 < percent < 0.1:
        return "<0.1%"
    digits = 0 if percent in (0, 100) or 9.95 <= percent <= 99.5 else 1
    return f"{percent:.{digits}f}%"


def cosine(value: float) -> str:
    """A cosine: `.428`, `-.012`."""
    text = f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 0.9995 else f"{value:.2f}"
    return ".000" if text == "-.000" else text


def counted(count: int, one: str, many: str = "") -> str:
    """`1 document`, `12 documents`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def rows(found: list[int], most: int = 5) -> str:
    """Some row numbers: `rows 3, 17, 99, …`."""
    some = ", ".join(str(row) for row in found[:most])
    return f"{'row' if len(found) == 1 else 'rows'} {some}{', …' if len(found) > most else ''}"


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """Findings as lines of text, those that found nothing wrong without advice."""
    lines = []
    for finding in findings:
        word = "ok" if finding.passed else finding.severity.value
        lines.append(clean(f"{finding.glyph} {word:<5}  {finding.check}: {finding.message}"))
        if finding.advice:
            lines.append(clean(f"         {finding.advice}"))
    return lines
