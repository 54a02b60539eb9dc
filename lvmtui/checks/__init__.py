"""Checks on runs: what a training's history gives away, what keeps runs from being compared. Pure numpy."""
