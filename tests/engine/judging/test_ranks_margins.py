"""Margins stay within their bound, and are sorted as plain comparisons would."""

import numpy as np
import pytest
import torch

from engine.ranking.margins import HIDDEN, Arithmetic, classify, has_matrix_unit, reaching
from engine.ranking.pairs import exact_rows
from engine.ranks import unit_rows

N = 96


def hard_pairs(random, dim):
    """(queries, candidates), each (N, dim)."""
    yield random.normal(size=(N, dim)), random.normal(size=(N, dim))
    same = random.normal(size=(N, dim))
    yield same, same + 1e-4 * random.normal(size=(N, dim))
    for _ in range(8):
        bumps = (random.random((N, dim)) < 0.5) * 2.0 ** -random.integers(6, 20)
        yield np.full((N, dim), random.uniform(0.5, 1)), random.uniform(0.5, 1) * (1 + bumps)
    halves = np.full((N, dim), 1 + 2.0**-8 + 2.0**-16)
    yield halves, halves * random.uniform(0.7, 1.4, (N, 1))
    yield np.eye(dim)[random.integers(0, dim, N)] + 1e-3, np.eye(dim)[random.integers(0, dim, N)] + 1e-3


@pytest.mark.parametrize("dim", [32, 33, 768, 2048])
@pytest.mark.parametrize("split", [True, False], ids=["bfloat16", "float32"])
def test_no_margin_is_off_by_more_than_the_bound(dim, split):
    if split and not has_matrix_unit():
        pytest.skip("no matrix unit for bfloat16 here")
    arithmetic = Arithmetic(dim, split)
    bound = arithmetic.bound
    for queries, candidates in hard_pairs(np.random.default_rng(dim), dim):
        x, y = (torch.from_numpy(rows.astype(np.float32)) for rows in (queries, candidates))
        cosines = exact_rows(x) @ exact_rows(y).T
        cutoff = cosines.diagonal()
        operand = torch.zeros(N, arithmetic.width, dtype=arithmetic.dtype)
        arithmetic.candidates(unit_rows(y)[0], operand)
        asked = arithmetic.queries(unit_rows(x)[0], cutoff)
        margins = torch.mm(asked[:, arithmetic.whole], operand[:, arithmetic.whole].T)
        exact = cosines - cutoff[:, None] + bound
        rounding = exact.abs() * 2.0**-8 if split else 0.0
        assert ((margins.double() - exact).abs() <= bound + rounding).all()
        surely_above = margins.view(arithmetic.integers) >= arithmetic.ceiling
        assert (cosines >= cutoff[:, None])[surely_above].all()
        assert (cosines < cutoff[:, None])[margins < 0].all()
        if arithmetic.coarse:
            coarse = torch.mm(asked[:, arithmetic.coarse], operand[:, arithmetic.coarse].T)
            assert (cosines < cutoff[:, None])[coarse < 0].all()
            wanted = [bool((row >= 0).any()) for row in coarse]
            assert reaching(coarse).tolist() == wanted


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_classify_sorts_as_plain_comparisons_do(dtype):
    random = torch.Generator().manual_seed(0)
    for rows, columns in ((1, 8), (7, 64), (33, 2048)):
        margins = (torch.randn(rows, columns, generator=random) * 0.01).to(dtype)
        margins[:, ::5] = 0.0
        margins[:, 1::7] = -0.0
        margins[:, 3::4] = HIDDEN
        margins[:, 2] = torch.tensor([1e-30, -1e-30, 3.0, -3.0] * 9)[:rows]
        integers = Arithmetic(32, dtype == torch.bfloat16).integers
        least = torch.tensor([0.004], dtype=dtype)
        ceiling = int(least.view(integers))
        wanted_above = (margins >= least).sum(1).tolist()
        # Minus zero is below: a margin that small is surely below the cutoff.
        undecided = (margins >= 0) & (margins < least) & ~torch.signbit(margins)
        wanted = torch.nonzero(undecided).tolist()
        above, row, column = classify(margins.clone(), torch.empty_like(margins), ceiling)
        assert above.tolist() == wanted_above
        assert np.column_stack([row, column]).tolist() == wanted


def test_a_matrix_unit_is_used_where_it_pays():
    assert Arithmetic.best(768, torch.device("cpu")).split == has_matrix_unit()
    assert not Arithmetic.best(8, torch.device("cpu")).split
    assert not Arithmetic.best(768, torch.device("cuda")).split
