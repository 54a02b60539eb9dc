BEGIN TRANSACTION;
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
INSERT INTO "checkpoint" VALUES(1,1,'runs/1/x',1,10,100.0,'sha',5,1,1,0.2);
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
INSERT INTO "device_sample" VALUES(1,1,'here','cpu','a cpu',100.0,0.5,NULL,NULL,NULL,NULL,NULL);
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
INSERT INTO "evaluation" VALUES(1,1,NULL,0,'p1','validation',1,10,100.0,0.1,0.2,0.3,0.15,100,120,NULL,NULL,0.19,0.21,NULL,NULL,'',NULL,NULL,NULL,X'72616E6B73','{}');
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
INSERT INTO "event" VALUES(1,1,'launched','info','phase-1 #1 queued by user@here',1.79537176191714739799e+09,'{}');
INSERT INTO "event" VALUES(2,1,'completed','info','done',100.0,'{}');
INSERT INTO "event" VALUES(3,1,'promoted','info','phase-1 #1 (epoch 1) promoted to champion by user@here',1.79537176192891407017e+09,'{}');
INSERT INTO "event" VALUES(4,NULL,'audit','info','Nearly all vectors have length 1.',1700000000.0,'{"check": "norms", "advice": "", "data": "d1"}');
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
INSERT INTO "latency" VALUES(1,1,'runs/1/x',1,10,100.0,'here','cpu','a cpu',2,'fp32','stream',1000,15,200,0.002,0.003,0.004,120,10,0.5,'p1',100,0.1,0.2,0.3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','{"torch": "2.13.0"}');
INSERT INTO "latency" VALUES(2,1,'runs/1/x',1,10,100.0,'here','cpu','a cpu',2,'int8','stream',0,0,0,NULL,NULL,NULL,120,10,0.5,'p1',100,0.1,0.19,0.3,0.0,NULL,NULL,-0.01,-0.02,-0.005,0.0,NULL,NULL,'it loses 1.0 points of Hit@5','{"torch": "2.13.0"}');
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
INSERT INTO "metric" VALUES(1,1,'train/loss',10,1.0,100.0,NULL);
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
INSERT INTO "promotion" VALUES(1,'champion',1,1,1795371761.92831,'{}','');
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
INSERT INTO "protocol" VALUES('p1','doc-v1','ffffffffffffffff','{"split_seed": 0}','validation',100,120,0.01,9,X'67');
CREATE TABLE query_fact (
	protocol_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	packed BLOB NOT NULL, 
	meta JSON NOT NULL, 
	PRIMARY KEY (protocol_id, name), 
	FOREIGN KEY(protocol_id) REFERENCES protocol (id)
);
INSERT INTO "query_fact" VALUES('p1','position',X'7061636B6564','{"source": "given"}');
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
INSERT INTO "request" VALUES('a1','stop','{"run": 1}',10.0,'agent-1',11.0,'{"words": "done"}');
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
	trashed FLOAT
, "source" TEXT NOT NULL DEFAULT '');
INSERT INTO "run" VALUES(1,8,'phase-1','done','completed','{"name": "phase-1"}','abc','{"train.lr": "0.001"}',0,'gru',100,'hit5','{"hit5": 0.2}','demo','runs/1',1.79537176191227483752e+09,1,0,0,0,NULL,NULL,0,0,0.2,1,NULL,10,'ffffffffffffffff','p1','cpu','here',1,1.0,1.79537176192611145969e+09,1.7953717619177372456e+09,1.79537176192611145969e+09,8.37421417236328125e-03,1,NULL,'{"torch": "2.13.0"}',NULL,'','','','',0,NULL,0,NULL,0,0,NULL,'');
INSERT INTO "run" VALUES(2,1,'phase-1','queued',NULL,'{"name": "phase-1"}','abc','{"train.lr": "0.001"}',0,'gru',100,'hit5','{"hit5": 0.2}','demo','runs/2',1.79537176191227483752e+09,0,0,0,0,NULL,NULL,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0.0,0,NULL,'{}',NULL,'','','cuda','here',3,1.5,1,1,0,0,NULL,'');
INSERT INTO "run" VALUES(3,2,'phase-1','done','completed','{"name": "phase-1"}','abc','{"train.lr": "0.001"}',0,'gru',100,'hit5','{"hit5": 0.2}','demo','runs/3',1.79537176191227483752e+09,1,0,0,0,NULL,NULL,0,0,0.2,1,NULL,10,'ffffffffffffffff','p1','cpu','here',1,1.0,1.79537176192611145969e+09,1.7953717619177372456e+09,1.79537176192611145969e+09,8.37421417236328125e-03,1,NULL,'{"torch": "2.13.0"}',NULL,'a note','warm,sweep','','',0,NULL,0,NULL,1,1,NULL,'{"host": "gpu1"}');
INSERT INTO "run" VALUES(4,2,'phase-1','done','stopped','{"name": "phase-1"}','abc','{"train.lr": "0.001"}',0,'gru',100,'hit5','{"hit5": 0.2}','demo','runs/4',1.79537176191227483752e+09,1,0,0,0,NULL,NULL,0,0,0.2,1,NULL,10,'ffffffffffffffff','p1','cpu','here',1,1.0,1.79537176192611145969e+09,1.7953717619177372456e+09,1.79537176192611145969e+09,8.37421417236328125e-03,1,NULL,'{"torch": "2.13.0"}',NULL,'','','','',0,NULL,0,NULL,0,0,200.0,'');
CREATE TABLE schema_version (
	version INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	applied FLOAT NOT NULL, 
	program VARCHAR NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "schema_version" VALUES(1,'first schema',1700000000.0,'0.1.0');
INSERT INTO "schema_version" VALUES(2,'facts about queries',1700000000.0,'0.1.0');
INSERT INTO "schema_version" VALUES(3,'latencies',100.0,'0.1.0');
INSERT INTO "schema_version" VALUES(4,'queue, pins, archive and trash',100.0,'0.1.0');
INSERT INTO "schema_version" VALUES(5,'requests of other machines, sources of copies',1.79540833317981386187e+09,'0.1.0');
CREATE INDEX ix_run_revision ON run (revision);
CREATE INDEX ix_run_recipe_hash ON run (recipe_hash);
CREATE INDEX ix_run_phase ON run (phase);
CREATE INDEX ix_metric_run_key ON metric (run_id, "key", id);
CREATE INDEX ix_evaluation_protocol ON evaluation (protocol_id, baseline);
CREATE INDEX ix_evaluation_run ON evaluation (run_id, id);
CREATE INDEX ix_checkpoint_run ON checkpoint (run_id, id);
CREATE INDEX ix_event_run ON event (run_id, id);
CREATE INDEX ix_device_sample_time ON device_sample (time);
CREATE INDEX ix_latency_run ON latency (run_id, id);
CREATE INDEX ix_control_run ON control (run_id, acknowledged);
CREATE INDEX ix_promotion_alias ON promotion (alias);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('checkpoint',1);
INSERT INTO "sqlite_sequence" VALUES('device_sample',1);
INSERT INTO "sqlite_sequence" VALUES('evaluation',1);
INSERT INTO "sqlite_sequence" VALUES('event',4);
INSERT INTO "sqlite_sequence" VALUES('latency',2);
INSERT INTO "sqlite_sequence" VALUES('metric',1);
INSERT INTO "sqlite_sequence" VALUES('promotion',1);
INSERT INTO "sqlite_sequence" VALUES('run',4);
COMMIT;
