"""Statistics on per-query ranks: scores, intervals, tests, pools. Pure numpy; shared with the engine."""

from lvmtui.stats.intervals import (
    CONFIDENCE,
    bootstrap_interval,
    bootstrap_intervals,
    sliced_intervals,
    wilson_interval,
)
from lvmtui.stats.packing import pack_ranks, unpack_ranks
from lvmtui.stats.paired import (
    POWER,
    Comparison,
    McNemar,
    detectable_difference,
    mcnemar,
    paired_bootstrap,
    paired_bootstraps,
)
from lvmtui.stats.pools import equated_hits, equated_mrr, is_extrapolated
from lvmtui.stats.resampling import RESAMPLES
from lvmtui.stats.scores import hit_at, hits, mrr, reciprocal_ranks

__all__ = [
    "CONFIDENCE",
    "POWER",
    "RESAMPLES",
    "Comparison",
    "McNemar",
    "bootstrap_interval",
    "bootstrap_intervals",
    "detectable_difference",
    "equated_hits",
    "equated_mrr",
    "hit_at",
    "hits",
    "is_extrapolated",
    "mcnemar",
    "mrr",
    "pack_ranks",
    "paired_bootstrap",
    "paired_bootstraps",
    "reciprocal_ranks",
    "sliced_intervals",
    "unpack_ranks",
    "wilson_interval",
]
