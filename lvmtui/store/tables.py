"""The SQLModel tables. Nobody outside `lvmtui.store` imports them."""

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, Text
from sqlmodel import Field, SQLModel


def _key() -> Any:
    """An id that is never used again, even after the last row was deleted."""
    return Field(default=None, primary_key=True)


def _of_run(nullable: bool = False) -> Any:
    return Field(
        default=None, sa_column=Column(Integer, ForeignKey("run.id", ondelete="CASCADE"), nullable=nullable)
    )


def _json() -> Any:
    return Field(default_factory=dict, sa_column=Column(JSON, nullable=False))


def _text(nullable: bool = False) -> Any:
    return Field(default=None if nullable else "", sa_column=Column(Text, nullable=nullable))


def _blob() -> Any:
    return Field(default=b"", sa_column=Column(LargeBinary, nullable=False))


def _bytes_count() -> Any:
    return Field(default=None, sa_column=Column(BigInteger, nullable=True))


_AUTOINCREMENT = {"sqlite_autoincrement": True}


class SchemaVersionRow(SQLModel, table=True):
    """One row for each schema version that was applied."""

    __tablename__ = "schema_version"

    version: int = Field(primary_key=True)
    name: str
    applied: float
    program: str
    """The lvmtui version that applied it."""


class RunRow(SQLModel, table=True):
    __tablename__ = "run"
    __table_args__ = _AUTOINCREMENT

    id: int | None = _key()
    revision: int = Field(index=True)
    phase: str = Field(index=True)
    status: str
    result: str | None = None
    recipe: str = _text()
    recipe_hash: str = Field(index=True)
    overrides: dict[str, str] = _json()
    seed: int
    model: str
    context: int
    watch: str
    targets: dict[str, float] = _json()
    data: str
    folder: str
    created: float
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    vectors_per_second: float | None = None
    epoch_seconds: float | None = None
    patience_used: int = 0
    patience: int = 0
    best_value: float | None = None
    best_epoch: int | None = None
    value_to_beat: float | None = None
    parameters: int | None = _bytes_count()
    data_fingerprint: str | None = None
    protocol_id: str | None = None
    device: str | None = None
    host: str | None = None
    pid: int | None = None
    process_started: float | None = None
    heartbeat: float | None = None
    started: float | None = None
    ended: float | None = None
    active_seconds: float = 0.0
    attempt: int = 0
    git_commit: str | None = None
    versions: dict[str, str] = _json()
    error: str | None = _text(nullable=True)
    note: str = _text()
    tags: str = _text()
    device_wanted: str = ""
    host_wanted: str = ""
    priority: int = 0
    place: float | None = None
    held: bool = False
    after: int | None = None
    pinned: bool = False
    archived: bool = False
    trashed: float | None = None
    source: str = _text()


class MetricRow(SQLModel, table=True):
    __tablename__ = "metric"
    __table_args__ = (Index("ix_metric_run_key", "run_id", "key", "id"), _AUTOINCREMENT)

    id: int | None = _key()
    run_id: int = _of_run()
    key: str
    step: int
    epoch: float
    time: float
    value: float | None = None


class ProtocolRow(SQLModel, table=True):
    __tablename__ = "protocol"

    id: str = Field(primary_key=True)
    name: str
    data_fingerprint: str
    spec: dict[str, Any] = _json()
    split: str
    n: int
    pool: int
    duplicate_share: float
    documents: int
    query_groups: bytes = _blob()


class QueryFactRow(SQLModel, table=True):
    __tablename__ = "query_fact"

    protocol_id: str = Field(primary_key=True, foreign_key="protocol.id")
    name: str = Field(primary_key=True)
    packed: bytes = _blob()
    meta: dict[str, Any] = _json()


class EvaluationRow(SQLModel, table=True):
    __tablename__ = "evaluation"
    __table_args__ = (
        Index("ix_evaluation_run", "run_id", "id"),
        Index("ix_evaluation_protocol", "protocol_id", "baseline"),
        _AUTOINCREMENT,
    )

    id: int | None = _key()
    run_id: int | None = _of_run(nullable=True)
    baseline: str | None = None
    context: int = 0
    protocol_id: str
    split: str
    epoch: int
    step: int
    time: float
    hit1: float
    hit5: float
    hit10: float
    mrr: float
    n: int
    pool: int
    hit1_low: float | None = None
    hit1_high: float | None = None
    hit5_low: float | None = None
    hit5_high: float | None = None
    hit10_low: float | None = None
    hit10_high: float | None = None
    interval_method: str = ""
    loss: float | None = None
    cosine: float | None = None
    copyness: float | None = None
    ranks: bytes = _blob()
    details: dict[str, Any] = _json()


class CheckpointRow(SQLModel, table=True):
    __tablename__ = "checkpoint"
    __table_args__ = (Index("ix_checkpoint_run", "run_id", "id"), _AUTOINCREMENT)

    id: int | None = _key()
    run_id: int = _of_run()
    path: str
    epoch: int
    step: int
    time: float
    sha256: str
    size: int = _bytes_count()
    is_best: bool
    is_last: bool
    value: float | None = None


class PromotionRow(SQLModel, table=True):
    __tablename__ = "promotion"
    __table_args__ = _AUTOINCREMENT

    id: int | None = _key()
    alias: str = Field(index=True)
    run_id: int = _of_run()
    checkpoint_id: int = Field(foreign_key="checkpoint.id")
    time: float
    gates: dict[str, Any] = _json()
    note: str = _text()


class EventRow(SQLModel, table=True):
    __tablename__ = "event"
    __table_args__ = (Index("ix_event_run", "run_id", "id"), _AUTOINCREMENT)

    id: int | None = _key()
    run_id: int | None = _of_run(nullable=True)
    kind: str
    severity: str
    message: str = _text()
    time: float
    evidence: dict[str, Any] = _json()


class DeviceSampleRow(SQLModel, table=True):
    __tablename__ = "device_sample"
    __table_args__ = (Index("ix_device_sample_time", "time"), _AUTOINCREMENT)

    id: int | None = _key()
    run_id: int | None = _of_run(nullable=True)
    host: str
    device: str
    name: str
    time: float
    utilisation: float | None = None
    memory_used: int | None = _bytes_count()
    memory_total: int | None = _bytes_count()
    process_memory: int | None = _bytes_count()
    temperature: float | None = None
    power: float | None = None


class LatencyRow(SQLModel, table=True):
    __tablename__ = "latency"
    __table_args__ = (Index("ix_latency_run", "run_id", "id"), _AUTOINCREMENT)

    id: int | None = _key()
    run_id: int = _of_run()
    checkpoint: str
    epoch: int
    step: int
    time: float
    host: str
    device: str
    device_name: str
    threads: int
    precision: str
    mode: str
    context: int
    warmup: int
    n: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    pool: int
    top: int
    load: float | None = None
    protocol_id: str = ""
    judged: int = 0
    hit1: float | None = None
    hit5: float | None = None
    hit10: float | None = None
    hit1_change: float | None = None
    hit1_change_low: float | None = None
    hit1_change_high: float | None = None
    hit5_change: float | None = None
    hit5_change_low: float | None = None
    hit5_change_high: float | None = None
    hit10_change: float | None = None
    hit10_change_low: float | None = None
    hit10_change_high: float | None = None
    refused: str = _text()
    versions: dict[str, str] = _json()


class ControlRow(SQLModel, table=True):
    __tablename__ = "control"
    __table_args__ = (Index("ix_control_run", "run_id", "acknowledged"), _AUTOINCREMENT)

    id: int | None = _key()
    run_id: int = _of_run()
    kind: str
    requested: float
    requested_by: str
    acknowledged: float | None = None


class RequestRow(SQLModel, table=True):
    """What another machine has asked for, so that it is done once however often it is delivered."""

    __tablename__ = "request"

    id: str = Field(primary_key=True)
    what: str
    arguments: dict[str, Any] = _json()
    received: float
    agent: str
    """Which process has taken it on."""
    answered: float | None = None
    """When it was done, or refused."""
    answer: dict[str, Any] = _json()
