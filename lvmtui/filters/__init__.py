"""The language in which runs are chosen: `phase:3 hit5>15 -status:lost ctx>=500 note~"warm" or …`.

- Terms side by side must all fit; `or`, `not` or a leading `-`, and parentheses do as usual.
- `field:text` is a glob, anywhere in the field where it has no wildcard; `field=text` the whole of it;
  `field~regex` a regular expression; `field>15`, `>=`, `<`, `<=`, `=`, `!=`, `field:10..20` compare;
  `field:none` is not known.
- Shares are in percent (`hit5>15`), numbers may end in k, M or B (`params>10M`), spans of time are `30m`
  or `1d12h`, and a moment is an age (`started<2d`) or a date (`started>2026-11-22`).
- A bare word is looked for in name, state, model, tags and note. Quotes hold
  spaces and signs together.
"""

from lvmtui.filters.choosing import (
    chosen,
    filtered,
    kept,
    needs_attention,
    on_shelf,
)
from lvmtui.filters.errors import FilterError
from lvmtui.filters.parsing import Filter, parse
from lvmtui.filters.suggesting import suggest, without_begun

__all__ = [
    "Filter",
    "FilterError",
    "chosen",
    "filtered",
    "kept",
    "needs_attention",
    "on_shelf",
    "parse",
    "suggest",
    "without_begun",
]
