"""Student's t and the normal distribution, each as seen from the other. Standard library only."""

import math
import sys
from statistics import NormalDist

NORMAL = NormalDist()


def t_from_normal(z: float, degrees: float) -> float:
    """The quantile of Student's t at the probability of the normal quantile z >= 0 (Wallace, Annals of
    Mathematical Statistics 30, 1959; 1 % off at 3 degrees, too far out below)."""
    stretched = z * (8 * degrees + 3) / (8 * degrees + 1)
    exponent = min(stretched * stretched / degrees, math.log(sys.float_info.max) - 1)
    return math.sqrt(degrees * math.expm1(exponent))


def normal_from_t(t: float, degrees: float) -> float:
    """`t_from_normal` backwards."""
    return (8 * degrees + 1) / (8 * degrees + 3) * math.sqrt(degrees * math.log1p(t * t / degrees))
