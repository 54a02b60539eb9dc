"""Taking a run up again: from its last checkpoint, if it is still the same run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine import checkpoint
from engine.probe import check_learner
from engine.reporter import Reporter
from engine.train import Trainer
from lvmtui.errors import CheckpointError
from lvmtui.recipe import Recipe, differences
from lvmtui.store.reader import Reader
from lvmtui.store.records import Evaluation, Run, Severity
from lvmtui.store.writer import Writer


def go_on(trainer: Trainer, run: Run, root: Path, reporter: Reporter) -> None:
    """Take the run up where its last checkpoint left it, if it has one; drop what came after it.

    Raises:
        CheckpointError: the checkpoint is damaged, or recipe or data are others than then.
    """
    rows = reporter.call(lambda writer: Reader(writer.database).checkpoints(run.id))
    last = next((row for row in rows if row.is_last), None)
    if last is not None:
        state = checkpoint.load(root / last.path, last.sha256)
        refuse_changes(state["identity"], trainer.identity, run)
        trainer.load_state_dict(state)
        _check_probe(trainer, state, Path(last.path).name, reporter)
        _warn_of_changes(state["identity"], trainer.identity, reporter)
    step = -1 if last is None else last.step

    def rewind(writer: Writer) -> list[Evaluation]:
        writer.rewind(step)
        return Reader(writer.database).evaluations(run.id)

    evaluations = reporter.call(rewind)
    best_epoch = trainer.stopping.best_epoch
    trainer.best = next((e for e in evaluations if e.epoch == best_epoch), None)
    kept = {Path(row.path).name for row in rows if row.step <= step}
    checkpoint.remove_strays(root / run.folder / "checkpoints", kept)
    if last is not None:
        position = trainer.position
        reporter.event(
            "restored",
            f"goes on from step {position.step} (epoch {position.epoch + 1}), {Path(last.path).name}",
            evidence={"step": position.step, "epoch": position.epoch, "attempt": run.attempt},
        )


def refuse_changes(then: Mapping[str, Any], now: Mapping[str, Any], run: Run) -> None:
    """A resumed run must be the same run."""
    recipes = [Recipe.model_validate(identity["recipe"]) for identity in (then, now)]
    changed = {
        name: values
        for name, values in differences(*recipes).items()
        if not name.startswith("targets.")  # What a phase wants to reach changes no number.
    }
    hint = "Undo the change, or launch the phase again as a new run."
    if changed:
        words = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in changed.items())
        raise CheckpointError(f"the recipe of {run.name} is not the one of its checkpoint: {words}", hint)
    if then["data"] != now["data"]:
        path = recipes[1].data.path
        raise CheckpointError(
            f"the vectors in {path} are not the ones that {run.name} began with: their fingerprint was "
            f"{then['data']}, now it is {now['data']}",
            hint,
        )
    if then["protocol"] != now["protocol"]:
        raise CheckpointError(
            f"{run.name} was judged under protocol {then['protocol']}, this version judges under "
            f"{now['protocol']}",
            "Resume it with the version of lvmtui that began it, or launch the phase again.",
        )


def _check_probe(trainer: Trainer, state: Mapping[str, Any], source: str, reporter: Reporter) -> None:
    """Refuse weights that do not make the model they were saved from."""
    if check_learner(trainer.learner, state.get("probe"), source) is None:
        reporter.event("unprobed", f"{source} carries no probe: what its weights predict was not checked")


def _warn_of_changes(then: Mapping[str, Any], now: Mapping[str, Any], reporter: Reporter) -> None:
    """What may change the last bits of the numbers, but not what they mean."""
    changes = [
        f"{name} {then[name]} -> {now[name]}" for name in ("device", "threads") if then[name] != now[name]
    ]
    changes += [
        f"{name} {then['versions'].get(name)} -> {version}"
        for name, version in now["versions"].items()
        if then["versions"].get(name) != version
    ]
    if changes:
        reporter.event(
            "environment_changed",
            f"resumed elsewhere ({', '.join(changes)}): results will not be equal bit by bit",
            Severity.WARN,
        )
