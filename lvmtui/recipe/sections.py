"""What a recipe says: its sections, their fields, and what is allowed together."""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Metric = Literal["hit1", "hit5", "hit10", "mrr"]
Architecture = Literal[
    "amn", "gru", "hierarchical_gru", "lane_experts", "lstm", "memory_gru", "mingru", "transformer"
]


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSection(Section):
    """What the model sees."""

    path: str = Field("demo", min_length=1, description="folder of a vector set, or `demo`")
    context: int = Field(100, ge=1, le=100_000, description="vectors before the predicted one")
    stride: int = Field(0, ge=0, le=100_000, description="vectors between two windows; 0: half the context")
    within_document: bool = Field(False, description="contexts never cross into an earlier document")
    lanes: Literal["auto", "given", "kmeans"] = Field(
        "auto",
        description="lanes of the vectors: labels of the set, 16 clusters, or labels where there are any",
    )


class ModelSection(Section):
    """What is trained."""

    name: Architecture = Field("memory_gru", description="architecture")
    hidden: int = Field(512, ge=8, le=8192, description="width of the layers")
    layers: int = Field(4, ge=1, le=64, description="layers")
    slots: int = Field(16, ge=1, le=1024, description="memory slots (memory_gru)")
    chunk: int = Field(
        50,
        ge=1,
        le=10_000,
        description="vectors between two memory writes, or in one chunk (memory_gru, hierarchical_gru)",
    )
    heads: int = Field(8, ge=1, le=128, description="attention heads (transformer)")
    experts: int = Field(16, ge=2, le=256, description="experts (lane_experts)")
    active: int = Field(2, ge=1, le=256, description="experts asked for a prediction (lane_experts)")
    rank: int = Field(32, ge=1, le=4096, description="rank of each expert's map (lane_experts)")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="dropout between layers")
    head: Literal["composer", "residual", "delta"] = Field(
        "composer", description="output: composer, plain residual, published unit-norm delta"
    )
    start: Literal["tuned", "copy-last"] = Field(
        "tuned", description="composer's start: at the tuned baseline, or at copying the last vector"
    )


class LossSection(Section):
    """What training minimises."""

    name: Literal["nce", "rank", "published"] = Field(
        "nce",
        description="nce: against a bank of training vectors; rank: the target's smooth rank among them; "
        "published: cosine + alpha x InfoNCE",
    )
    bank: int = Field(2048, ge=1, le=1_000_000, description="negatives drawn from the bank (nce, rank)")
    depth: float = Field(5.0, gt=0.0, le=10_000.0, description="rank at which a target counts half (rank)")
    pool: int = Field(5000, ge=1, le=10_000_000, description="candidates that the bank stands for (rank)")
    window_negatives: bool = Field(
        False,
        description="negatives are also what follows the target in its document and window (nce; rank has "
        "them always)",
    )
    temperature: float = Field(
        0.07, gt=0.0, le=10.0, description="softmax temperature (start, if learnt); rank: 0.02 is good"
    )
    learn_temperature: bool = Field(True, description="learn the temperature (nce)")
    alpha: float = Field(0.03, ge=0.0, le=100.0, description="weight of in-batch InfoNCE (published)")
    cosine: float = Field(0.0, ge=0.0, le=1.0, description="weight of the cosine term (nce)")
    hard: int = Field(
        0, ge=0, le=1024, description="hard negatives of each target: the training vectors most like it"
    )
    balance: float = Field(
        0.01, ge=0.0, le=10.0, description="weight of the experts' load balance (lane_experts)"
    )


class TrainSection(Section):
    """How it is trained."""

    epochs: int = Field(50, ge=1, le=100_000, description="epochs at most")
    batch: int = Field(8, ge=1, le=65_536, description="windows in one forward pass")
    accumulation: int = Field(32, ge=1, le=65_536, description="forward passes in one optimiser step")
    steps_per_epoch: int = Field(
        0, ge=0, le=1_000_000, description="optimiser steps between evaluations; 0: one pass over the data"
    )
    min_context: int = Field(
        0,
        ge=0,
        le=100_000,
        description="shortest context in training, drawn anew each step; 0: always data.context",
    )
    positions: Literal["all", "last"] = Field("all", description="positions of a window that are supervised")
    lr: float = Field(1e-4, gt=0.0, le=10.0, description="peak learning rate")
    weight_decay: float = Field(1e-4, ge=0.0, le=10.0, description="AdamW weight decay")
    warmup: float = Field(0.05, ge=0.0, lt=1.0, description="share of all steps spent warming up")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="learning rate after the warm-up")
    clip: float = Field(1.0, ge=0.0, le=1e6, description="gradient norm at most; 0: no clipping")
    ema: float = Field(0.0, ge=0.0, lt=1.0, description="decay of the averaged weights; 0: none")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="seed of weights, order and sampling")
    threads: int = Field(0, ge=0, le=1024, description="CPU threads; 0: torch decides")
    device: Literal["auto", "cuda", "mps", "cpu"] = Field("auto", description="where to train")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="arithmetic of the model; auto: bf16 where the device is good at it, else fp32"
    )
    checkpointing: bool = Field(
        False, description="compute activations again in the backward pass: less memory, a third more time"
    )
    compile: bool = Field(False, description="compile the model with torch.compile")


class EvaluateSection(Section):
    """How it is judged."""

    protocol: Literal["doc-v1", "window-v0"] = Field(
        "doc-v1", description="evaluation protocol; window-v0: legacy, leaks, not comparable"
    )
    every: int = Field(1, ge=1, le=1000, description="epochs between evaluations")
    split_seed: int = Field(0, ge=0, le=2**31 - 1, description="seed of the document split")


class StopSection(Section):
    """When training ends before its last epoch."""

    metric: Metric = Field("hit5", description="metric on validation that must improve")
    patience: int = Field(3, ge=1, le=10_000, description="evaluations without a gain before stopping")
    min_delta: float = Field(
        0.0, ge=0.0, le=1_000_000, description="least gain that counts, in queries: 5 is 5 more hits"
    )
    min_steps: int = Field(0, ge=0, le=100_000_000, description="optimiser steps before patience counts")


Share = Annotated[float, Field(ge=0.0, le=1.0)]


class TargetsSection(Section):
    """The scores that the phase wants to reach; fractions."""

    hit1: Share | None = Field(None, description="target Hit@1")
    hit5: Share | None = Field(None, description="target Hit@5")
    hit10: Share | None = Field(None, description="target Hit@10")


class PublishedSection(Section):
    """What the source of the phase reported, and how it was judged; not comparable with other protocols."""

    hit1: Share | None = Field(None, description="published Hit@1")
    hit5: Share | None = Field(None, description="published Hit@5")
    hit10: Share | None = Field(None, description="published Hit@10")
    pool: int | None = Field(None, ge=1, description="queries, which were also the candidates")
    windows: int | None = Field(None, ge=1, description="windows trained on")


class Recipe(Section):
    """One phase."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="name of the phase")
    description: str = Field("", max_length=2000, description="what the phase is for")
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    loss: LossSection = LossSection()
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()
    stop: StopSection = StopSection()
    targets: TargetsSection = TargetsSection()
    published: PublishedSection = PublishedSection()

    @model_validator(mode="after")
    def _check_combinations(self) -> "Recipe":
        if self.loss.name == "published" and self.loss.alpha > 0 and self.train.batch < 2:
            raise ValueError("loss.name = published with alpha > 0 needs train.batch of at least 2")
        if self.evaluate.protocol == "window-v0" and self.data.within_document:
            raise ValueError("evaluate.protocol = window-v0 needs data.within_document = false")
        if self.train.compile and self.train.min_context:
            raise ValueError(
                f"train.compile = true needs train.min_context = 0, not {self.train.min_context}: each "
                "length would be compiled anew, for minutes"
            )
        if self.train.min_context > self.data.context:
            raise ValueError(
                f"train.min_context = {self.train.min_context} may not be more than data.context = "
                f"{self.data.context}"
            )
        if self.model.active > self.model.experts:
            raise ValueError(
                f"model.active = {self.model.active} may not be more than model.experts = "
                f"{self.model.experts}"
            )
        if self.model.name == "transformer" and self.model.hidden % (2 * self.model.heads):
            raise ValueError(
                f"a transformer needs model.hidden = {self.model.hidden} to be a multiple of twice "
                f"model.heads = {self.model.heads}"
            )
        return self

    def to_json(self) -> str:
        """The whole resolved recipe, keys sorted."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)

    @property
    def hash(self) -> str:
        """12 hexadecimal digits over everything that decides the result, the seed aside: runs with the same
        hash are seeds of one recipe."""
        values = self.model_dump(mode="json")
        del values["description"], values["train"]["seed"], values["targets"], values["published"]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]

    def target_scores(self) -> dict[str, float]:
        """The targets that are set."""
        return {name: value for name, value in self.targets.model_dump().items() if value is not None}
