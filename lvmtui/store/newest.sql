CREATE TABLE checkpoint (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    path VARCHAR NOT NULL,
    epoch INTEGER NOT NULL,
    step INTEGER NOT NULL,
    time FLOAT NOT NULL,
    sha256 VARCHAR NOT NULL,
    size BIGINT,
    is_best BOOLEAN NOT NULL,
    is_last BOOLEAN NOT NULL,
    value FLOAT,
    FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);

CREATE TABLE control (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    requested FLOAT NOT NULL,
    requested_by VARCHAR NOT NULL,
    acknowledged FLOAT,
    FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);

CREATE TABLE device_sample (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER,
    host VARCHAR NOT NULL,
    device VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    time FLOAT NOT NULL,
    utilisation FLOAT,
    memory_used BIGINT,
    memory_total BIGINT,
    process_memory BIGINT,
    temperature FLOAT,
    power FLOAT,
    FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);

CREATE TABLE evaluation (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER,
    baseline VARCHAR,
    context INTEGER NOT NULL,
    protocol_id VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    epoch INTEGER NOT NULL,
    step INTEGER NOT NULL,
    time FLOAT NOT NULL,
    hit1 FLOAT NOT NULL,
    hit5 FLOAT NOT NULL,
    hit10 FLOAT NOT NULL,
    mrr FLOAT NOT NULL,
    n INTEGER NOT NULL,
    pool INTEGER NOT NULL,
    hit1_low FLOAT,
    hit1_high FLOAT,
    hit5_low FLOAT,
    hit5_high FLOAT,
    hit10_low FLOAT,
    hit10_high FLOAT,
    interval_method VARCHAR NOT NULL,
    loss FLOAT,
    cosine FLOAT,
    copyness FLOAT,
    ranks BLOB NOT NULL,
    details JSON NOT NULL,
    FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);

CREATE TABLE event (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER,
    kind VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    message TEXT NOT NULL,
    time FLOAT NOT NULL,
    evidence JSON NOT NULL,
    FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);

CREATE TABLE latency (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    checkpoint VARCHAR NOT NULL,
    epoch INTEGER NOT NULL,
    step INTEGER NOT NULL,
    time FLOAT NOT NULL,
    host VARCHAR NOT NULL,
    device VARCHAR NOT NULL,
    device_name VARCHAR NOT NULL,
    threads INTEGER NOT NULL,
    precision VARCHAR NOT NULL,
    mode VARCHAR NOT NULL,
    context INTEGER NOT NULL,
    warmup INTEGER NOT NULL,
    n INTEGER NOT NULL,
    p50 FLOAT,
    p95 FLOAT,
    p99 FLOAT,
    pool INTEGER NOT NULL,
    top INTEGER NOT NULL,
    load FLOAT,
    protocol_id VARCHAR NOT NULL,
    judged INTEGER NOT NULL,
    hit1 FLOAT,
    hit5 FLOAT,
    hit10 FLOAT,
    hit1_change FLOAT,
    hit1_change_low FLOAT,
    hit1_change_high FLOAT,
    hit5_change FLOAT,
    hit5_change_low FLOAT,
    hit5_change_high FLOAT,
    hit10_change FLOAT,
    hit10_change_low FLOAT,
    hit10_change_high FLOAT,
    refused TEXT NOT NULL,
    versions JSON NOT NULL,
    FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);

CREATE TABLE metric (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id INTEGER NOT NULL,
    "key" VARCHAR NOT NULL,
    step INTEGER NOT NULL,
    epoch FLOAT NOT NULL,
    time FLOAT NOT NULL,
    value FLOAT,
    FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);

CREATE TABLE promotion (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    alias VARCHAR NOT NULL,
    run_id INTEGER NOT NULL,
    checkpoint_id INTEGER NOT NULL,
    time FLOAT NOT NULL,
    gates JSON NOT NULL,
    note TEXT NOT NULL,
    FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE,
    FOREIGN KEY(checkpoint_id) REFERENCES checkpoint (id)
);

CREATE TABLE protocol (
    id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    data_fingerprint VARCHAR NOT NULL,
    spec JSON NOT NULL,
    split VARCHAR NOT NULL,
    n INTEGER NOT NULL,
    pool INTEGER NOT NULL,
    duplicate_share FLOAT NOT NULL,
    documents INTEGER NOT NULL,
    query_groups BLOB NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE query_fact (
    protocol_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    packed BLOB NOT NULL,
    meta JSON NOT NULL,
    PRIMARY KEY (protocol_id, name),
    FOREIGN KEY(protocol_id) REFERENCES protocol (id)
);

CREATE TABLE request (
    id VARCHAR NOT NULL,
    what VARCHAR NOT NULL,
    arguments JSON NOT NULL,
    received FLOAT NOT NULL,
    agent VARCHAR NOT NULL,
    answered FLOAT,
    answer JSON NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE run (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    revision INTEGER NOT NULL,
    phase VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    result VARCHAR,
    recipe TEXT NOT NULL,
    recipe_hash VARCHAR NOT NULL,
    overrides JSON NOT NULL,
    seed INTEGER NOT NULL,
    model VARCHAR NOT NULL,
    context INTEGER NOT NULL,
    watch VARCHAR NOT NULL,
    targets JSON NOT NULL,
    data VARCHAR NOT NULL,
    folder VARCHAR NOT NULL,
    created FLOAT NOT NULL,
    epoch INTEGER NOT NULL,
    epochs INTEGER NOT NULL,
    step INTEGER NOT NULL,
    steps INTEGER NOT NULL,
    vectors_per_second FLOAT,
    epoch_seconds FLOAT,
    patience_used INTEGER NOT NULL,
    patience INTEGER NOT NULL,
    best_value FLOAT,
    best_epoch INTEGER,
    value_to_beat FLOAT,
    parameters BIGINT,
    data_fingerprint VARCHAR,
    protocol_id VARCHAR,
    device VARCHAR,
    host VARCHAR,
    pid INTEGER,
    process_started FLOAT,
    heartbeat FLOAT,
    started FLOAT,
    ended FLOAT,
    active_seconds FLOAT NOT NULL,
    attempt INTEGER NOT NULL,
    git_commit VARCHAR,
    versions JSON NOT NULL,
    error TEXT,
    note TEXT NOT NULL,
    tags TEXT NOT NULL,
    device_wanted VARCHAR NOT NULL,
    host_wanted VARCHAR NOT NULL,
    priority INTEGER NOT NULL,
    place FLOAT,
    held BOOLEAN NOT NULL,
    "after" INTEGER,
    pinned BOOLEAN NOT NULL,
    archived BOOLEAN NOT NULL,
    trashed FLOAT,
    source TEXT NOT NULL
);

CREATE TABLE schema_version (
    version INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    applied FLOAT NOT NULL,
    program VARCHAR NOT NULL,
    PRIMARY KEY (version)
);

CREATE INDEX ix_checkpoint_run ON checkpoint (run_id, id);

CREATE INDEX ix_control_run ON control (run_id, acknowledged);

CREATE INDEX ix_device_sample_time ON device_sample (time);

CREATE INDEX ix_evaluation_protocol ON evaluation (protocol_id, baseline);

CREATE INDEX ix_evaluation_run ON evaluation (run_id, id);

CREATE INDEX ix_event_run ON event (run_id, id);

CREATE INDEX ix_latency_run ON latency (run_id, id);

CREATE INDEX ix_metric_run_key ON metric (run_id, "key", id);

CREATE INDEX ix_promotion_alias ON promotion (alias);

CREATE INDEX ix_run_phase ON run (phase);

CREATE INDEX ix_run_recipe_hash ON run (recipe_hash);

CREATE INDEX ix_run_revision ON run (revision);
