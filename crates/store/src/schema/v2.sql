-- Whether it is paused: held in the queue, or frozen while it runs.
ALTER TABLE executions ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;

-- JSON list: those of `env_names` that were inherited from whoever submitted it. None is known of what is older.
ALTER TABLE requests ADD COLUMN inherited_names TEXT;

-- The moment before which it does not start.
ALTER TABLE requests ADD COLUMN start_at INTEGER;
