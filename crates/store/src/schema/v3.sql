-- What groups executions: groups with limits, schedules, plans.

-- Plans. The plan and the step that an execution is of.
ALTER TABLE executions ADD COLUMN plan BLOB;
ALTER TABLE executions ADD COLUMN step INTEGER;

CREATE TABLE plans (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    owner INTEGER NOT NULL,
    status INTEGER NOT NULL,
    round INTEGER NOT NULL,         -- 1, and one more with each time it is resumed
    events INTEGER NOT NULL,        -- endings of steps and stops in this round
    created_at INTEGER NOT NULL,
    round_at INTEGER NOT NULL,      -- when the round began
    ended_at INTEGER,
    aged_at INTEGER,                -- the store's own clock at the ending
    stops TEXT NOT NULL,            -- JSON list, of this round
    shown TEXT NOT NULL,            -- JSON of the plan without what must not be read
    title TEXT NOT NULL,            -- JSON of what a list shows
    outcome TEXT,                   -- JSON: how it ended
    idempotency_key TEXT,
    key_id BLOB NOT NULL,
    body_mac BLOB NOT NULL,
    sealed BLOB                     -- the whole plan, until it has completed
) STRICT;
CREATE UNIQUE INDEX plans_by_key ON plans (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX plans_unfinished ON plans (seq) WHERE ended_at IS NULL;
CREATE INDEX plans_by_age ON plans (aged_at) WHERE aged_at IS NOT NULL;

-- Steps that were begun. One with an ending and without an event is of an earlier round, and kept.
CREATE TABLE plan_steps (
    plan INTEGER NOT NULL,
    round INTEGER NOT NULL,
    step INTEGER NOT NULL,
    execution BLOB,                 -- NULL: it could not be submitted
    event INTEGER,                  -- place of its ending among the events of the round
    ending TEXT,
    started_at INTEGER,
    ended_at INTEGER,
    duration_ms INTEGER,
    attempts INTEGER NOT NULL,
    PRIMARY KEY (plan, round, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX plan_steps_by_event ON plan_steps (plan, round, event) WHERE event IS NOT NULL;
CREATE INDEX plan_steps_by_execution ON plan_steps (execution) WHERE execution IS NOT NULL;

-- JSON list: executions that must have ended first, however. None is known of what is older.
ALTER TABLE requests ADD COLUMN after_ended TEXT NOT NULL DEFAULT '[]';

-- What is submitted again and again.
CREATE TABLE schedules (
    id BLOB PRIMARY KEY,
    owner INTEGER NOT NULL,
    name TEXT UNIQUE,
    created_at INTEGER NOT NULL,
    every TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    missed TEXT NOT NULL,
    overlap TEXT NOT NULL,
    paused INTEGER NOT NULL,
    next_at INTEGER,                -- the next moment; NULL if none follows
    request TEXT NOT NULL,
    options TEXT NOT NULL,
    env_names TEXT NOT NULL,
    inherited_names TEXT NOT NULL,
    stdin_bytes INTEGER,
    pinned INTEGER NOT NULL,
    idempotency_key TEXT,
    key_id BLOB NOT NULL,
    body_mac BLOB NOT NULL,
    sealed BLOB,                    -- values of variables, and input, as long as it exists
    runs INTEGER NOT NULL,
    last_run BLOB,
    last_run_at INTEGER,
    overlaps INTEGER NOT NULL,      -- moments without a run because an earlier one had not ended
    overlapped_at INTEGER,
    misses INTEGER NOT NULL,        -- moments that were missed, without a run of their own
    missed_at INTEGER,
    error TEXT,
    error_at INTEGER
) STRICT;
CREATE INDEX schedules_by_moment ON schedules (next_at) WHERE paused = 0;
CREATE UNIQUE INDEX schedules_by_key ON schedules (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;

-- The schedule that it is a run of, and the moment that it runs for; the moment is NULL if it was run by hand.
ALTER TABLE requests ADD COLUMN schedule BLOB;
ALTER TABLE requests ADD COLUMN schedule_moment INTEGER;

-- Groups that somebody has set. One that has no row has no limit and is not paused.
CREATE TABLE groups (
    name TEXT PRIMARY KEY,
    max_running INTEGER,            -- how many of its executions run at a time; NULL is as many as there is room for
    paused INTEGER NOT NULL         -- whether it starts nothing
) STRICT, WITHOUT ROWID;
