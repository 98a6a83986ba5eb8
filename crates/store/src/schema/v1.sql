-- Executions in the order they were accepted. Small columns only, so that a search reads few pages.
CREATE TABLE executions (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    owner INTEGER NOT NULL,
    status INTEGER NOT NULL,
    pinned INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    latest_at INTEGER NOT NULL,     -- the latest created_at up to this row: never falls, whatever the clock does
    started_at INTEGER,
    ended_at INTEGER,
    aged_at INTEGER,                -- the store's own clock at the ending, see clock.rs
    duration_ms INTEGER,
    exit_code INTEGER,
    attempts INTEGER NOT NULL,
    stdout_bytes INTEGER NOT NULL,
    stderr_bytes INTEGER NOT NULL,
    place INTEGER NOT NULL,         -- where the output is
    place_path TEXT,
    journal_bytes INTEGER NOT NULL, -- of the journal, uncompressed
    file_bytes INTEGER NOT NULL,    -- of the file that the store owns
    keeper TEXT,
    facets TEXT NOT NULL,           -- JSON list: its rows in the table `facets`
    command TEXT NOT NULL
) STRICT;
CREATE INDEX executions_by_status ON executions (status);
CREATE INDEX executions_by_age ON executions (aged_at) WHERE aged_at IS NOT NULL AND pinned = 0;
CREATE INDEX executions_with_journal ON executions (place) WHERE place = 2;

-- Tags ("t:TAG"), labels ("l:LENGTH OF KEY:KEY=VALUE") and groups ("g:GROUP"), with the status, so that each pair of
-- both is one range of this index.
CREATE TABLE facets (
    facet TEXT NOT NULL,
    status INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (facet, status, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE requests (
    seq INTEGER PRIMARY KEY,
    request TEXT NOT NULL,
    options TEXT NOT NULL,
    env_names TEXT NOT NULL,
    stdin_bytes INTEGER,
    after TEXT NOT NULL,
    idempotency_key TEXT,
    key_id BLOB NOT NULL,
    body_mac BLOB NOT NULL
) STRICT;

CREATE TABLE idempotency (
    owner INTEGER NOT NULL,
    idempotency_key TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (owner, idempotency_key)
) STRICT, WITHOUT ROWID;

-- What must not be read, until it is erased.
CREATE TABLE sealed (
    seq INTEGER PRIMARY KEY,
    key_id BLOB NOT NULL,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE results (
    seq INTEGER PRIMARY KEY,
    ending TEXT NOT NULL,
    result TEXT NOT NULL
) STRICT;

CREATE TABLE outputs (
    seq INTEGER PRIMARY KEY,
    journal BLOB NOT NULL
) STRICT;

-- What an engine of an app knows of an execution beside all this, and where its output begins and ends.
CREATE TABLE history (
    seq INTEGER PRIMARY KEY,
    summary TEXT NOT NULL,
    cursors TEXT
) STRICT;

-- Files that no execution has, or that none has yet. They are removed when the store is opened.
CREATE TABLE unowned_files (
    path TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- One row: what would take a scan to find out.
CREATE TABLE totals (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    next_seq INTEGER NOT NULL,
    counts TEXT NOT NULL,
    removable INTEGER NOT NULL,
    file_bytes INTEGER NOT NULL,
    latest_at INTEGER NOT NULL,
    age INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (1, 1, '[0,0,0,0,0,0,0]', 0, 0, 0, 0, 0);
