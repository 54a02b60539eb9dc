"""Prediction outside of training.

    from engine.infer import Pool, load

    predictor = load("runs/17/checkpoints/step-00000640.safetensors")
    following = predictor.predict(context)              # (T, 768) -> (768,)

    pool = Pool(numpy.load("vectors.npy", mmap_mode="r"))
    session = predictor.session(pool)
    for vector in stream:                               # (768,) each
        session.push(vector)                            # constant time, constant memory
        scores, rows = session.top(10)
    session.save()                                      # tensors; `restore` goes on from them

`load_run("runs.db", 17, "best")` finds the file in a run store. `precision="bf16"` or `"int8"` converts the
model, on loading only.
"""

from engine.infer.loading import find_checkpoint, load, load_run
from engine.infer.pool import Hits, Pool
from engine.infer.predictor import Predictor, Session
from lvmtui.latencies import Precision

__all__ = ["Hits", "Pool", "Precision", "Predictor", "Session", "find_checkpoint", "load", "load_run"]
