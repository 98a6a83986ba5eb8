-- Who may call the service over the network.

CREATE TABLE tokens (
    name TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,    -- SHA-256 of the token, which itself is nowhere
    scope TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER              -- NULL: it is good until it is revoked
) STRICT, WITHOUT ROWID;
