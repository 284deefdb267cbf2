-- Times are milliseconds since the Unix epoch, UTC. Ids are text: prefix, '_', ULID.

CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    email         TEXT NOT NULL,
    email_key     TEXT NOT NULL UNIQUE,  -- lower case: what accounts are told apart by
    password_hash TEXT NOT NULL,         -- PHC string, Argon2id
    role          TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    created_at    INTEGER NOT NULL,
    last_seen_at  INTEGER                -- signed in or at a page, to some minutes
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    token_hash BLOB PRIMARY KEY,         -- SHA-256 of the cookie's value
    id         TEXT NOT NULL UNIQUE,     -- by which a page names it
    user_id    TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    browser    TEXT NOT NULL,            -- in our own words ("Firefox on Linux"), or ''
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE one_time_links (
    token_hash BLOB PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,     -- by which a page names it
    purpose    TEXT NOT NULL CHECK (purpose IN ('setup', 'sign-in', 'invitation', 'reset')),
    user_id    TEXT REFERENCES users ON DELETE CASCADE,  -- 'sign-in', 'reset': whose
    email      TEXT,                     -- 'invitation': who is invited, and as what
    email_key  TEXT UNIQUE,
    role       TEXT CHECK (role IN ('admin', 'member')),
    made_by    TEXT REFERENCES users ON DELETE CASCADE,  -- who is removed leaves no way back in
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX one_time_links_by_user ON one_time_links (user_id);
CREATE INDEX one_time_links_by_maker ON one_time_links (made_by);

CREATE TABLE tokens (
    id           TEXT PRIMARY KEY,
    token_hash   BLOB NOT NULL UNIQUE,
    name         TEXT NOT NULL,
    scope        TEXT NOT NULL CHECK (scope IN ('full', 'submit', 'metrics')),
    user_id      TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    created_by   TEXT REFERENCES users ON DELETE SET NULL,  -- NULL: the command line
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_user ON tokens (user_id);

CREATE TABLE projects (
    id              TEXT PRIMARY KEY,
    slug            TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('ACTIVE', 'PAUSED')),
    allowed_origins TEXT NOT NULL,       -- a JSON array
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where a project's widget was used, and which origins tried in vain.
CREATE TABLE origins (
    project_id TEXT NOT NULL REFERENCES projects ON DELETE CASCADE,
    origin     TEXT NOT NULL,
    seen_at    INTEGER,                  -- when it last sent feedback
    refused    INTEGER NOT NULL,         -- how often it was refused since
    refused_at INTEGER,
    PRIMARY KEY (project_id, origin)
) STRICT, WITHOUT ROWID;

CREATE TABLE feedback (
    number     INTEGER PRIMARY KEY, -- in the order of ids; what the search knows a feedback by, so none of its is used again
    id         TEXT NOT NULL UNIQUE,
    project_id TEXT NOT NULL REFERENCES projects ON DELETE CASCADE,
    status     TEXT NOT NULL CHECK (status IN ('NEW', 'REVIEWED', 'RESOLVED')),
    message    TEXT NOT NULL,
    email      TEXT,
    email_key  TEXT,                     -- lower case: by which a person's feedback is found
    url        TEXT,
    metadata   TEXT,                     -- a JSON object
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX feedback_by_email ON feedback (email_key, id) WHERE email_key IS NOT NULL;
CREATE INDEX feedback_by_project ON feedback (project_id, id);
CREATE INDEX feedback_by_status ON feedback (status, id);
CREATE INDEX feedback_by_project_and_status ON feedback (project_id, status, id);

-- Who changed a status, newest last. Names are as they were: an account or a token may go.
CREATE TABLE feedback_history (
    feedback_id TEXT NOT NULL REFERENCES feedback (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,        -- from 1
    at          INTEGER NOT NULL,
    previous    TEXT NOT NULL,
    status      TEXT NOT NULL,
    email       TEXT NOT NULL,
    token       TEXT,                    -- NULL: by the page
    PRIMARY KEY (feedback_id, number)
) STRICT, WITHOUT ROWID;

-- How many there are, so that nobody counts a million rows. Kept by store/counts.rs.
CREATE TABLE feedback_counts (
    project_id TEXT NOT NULL REFERENCES projects ON DELETE CASCADE,
    status     TEXT NOT NULL,
    feedback   INTEGER NOT NULL,
    PRIMARY KEY (project_id, status)
) STRICT, WITHOUT ROWID;

-- The words, in grams (see domain/search.rs), with 'status' || status, the project and both as further words to filter by.
-- Nothing else is kept of a text, so what is to go is named again. New feedback is taken in after a while (store/search.rs).
CREATE VIRTUAL TABLE feedback_search USING fts5 (grams, content = '', columnsize = 0, detail = none, tokenize = 'ascii');
CREATE TABLE feedback_searchable (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    until INTEGER NOT NULL               -- the number of the last feedback that was taken in
) STRICT;
INSERT INTO feedback_searchable VALUES (1, 0);

CREATE TRIGGER feedback_removed AFTER DELETE ON feedback BEGIN
    INSERT INTO feedback_search (feedback_search, rowid, grams)
    SELECT 'delete', old.number, search_grams(old.project_id, old.status, old.message, old.email, old.url)
    WHERE old.number <= (SELECT until FROM feedback_searchable);
END;

CREATE TRIGGER feedback_changed AFTER UPDATE OF status ON feedback WHEN old.status <> new.status BEGIN
    INSERT INTO feedback_search (feedback_search, rowid, grams)
    SELECT 'delete', old.number, search_status(old.project_id, old.status)
    WHERE old.number <= (SELECT until FROM feedback_searchable);
    INSERT INTO feedback_search (rowid, grams)
    SELECT new.number, search_status(new.project_id, new.status)
    WHERE old.number <= (SELECT until FROM feedback_searchable);
END;

CREATE TABLE webhooks (
    id              TEXT PRIMARY KEY,
    url             TEXT NOT NULL,
    description     TEXT NOT NULL,
    topic_created   INTEGER NOT NULL,    -- feedback.created
    topic_updated   INTEGER NOT NULL,    -- feedback.updated
    all_projects    INTEGER NOT NULL,    -- 0: those in webhook_projects
    enabled         INTEGER NOT NULL,
    retries         TEXT NOT NULL CHECK (retries IN ('standard', 'patient')),
    headers         TEXT NOT NULL,       -- a JSON object
    secret          TEXT NOT NULL,
    next_secret     TEXT,                -- during the overlap of a rotation
    overlap_ends_at INTEGER,
    failing_since   INTEGER,
    failed_in_a_row INTEGER NOT NULL DEFAULT 0,  -- deliveries given up since the last success
    alerted_at      INTEGER,             -- when --alert-url was told that it is failing; NULL: it was not
    alerted_since   INTEGER,             -- since when it was failing then
    held_until      INTEGER,
    created_at      INTEGER NOT NULL,
    deleted_at      INTEGER              -- kept for its deliveries; url, secrets and headers are emptied
) STRICT;

-- No reference to projects: a webhook whose chosen project is deleted must not come to hear of all of them.
CREATE TABLE webhook_projects (
    webhook_id TEXT NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    project_id TEXT NOT NULL,
    PRIMARY KEY (webhook_id, project_id)
) STRICT, WITHOUT ROWID;

-- The body is stored once; the deliveries of an event point to it.
CREATE TABLE events (
    id          TEXT PRIMARY KEY,
    type        TEXT NOT NULL,
    feedback_id TEXT,                    -- no reference: the log outlives what it is about
    body        BLOB,                    -- NULL: the feedback was deleted, its words with it
    created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_feedback ON events (feedback_id) WHERE feedback_id IS NOT NULL;

-- The outbox and the log in one: a row is 'pending' until its last attempt is recorded.
CREATE TABLE deliveries (
    id              TEXT PRIMARY KEY,
    event_id        TEXT NOT NULL REFERENCES events,
    webhook_id      TEXT NOT NULL REFERENCES webhooks,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed', 'canceled')),
    due_at          INTEGER,             -- of the next attempt; NULL unless pending
    attempts        INTEGER NOT NULL,    -- made in all
    round_attempts  INTEGER NOT NULL,    -- made since it was created or redelivered
    created_at      INTEGER NOT NULL,
    finished_at     INTEGER
) STRICT;
CREATE INDEX deliveries_due ON deliveries (webhook_id, due_at, id) WHERE state = 'pending';
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_id, id);
-- Those that people look for among many, and of which there are few. What is pending is in the index above, which each
-- delivery is put into and taken out of; it is not put into a second one.
CREATE INDEX deliveries_ended_in_vain ON deliveries (webhook_id, state, id) WHERE state = 'failed' OR state = 'canceled';
CREATE INDEX deliveries_by_event ON deliveries (event_id);
CREATE INDEX deliveries_by_end ON deliveries (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE attempts (
    delivery_id        TEXT NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    number             INTEGER NOT NULL,
    started_at         INTEGER NOT NULL,
    duration_us        INTEGER NOT NULL,
    status             INTEGER,
    error              TEXT,
    error_code         TEXT,
    request_headers    TEXT,             -- a JSON array of pairs, the webhook's own values masked; NULL: the feedback was deleted
    response_headers   TEXT,             -- a JSON array of pairs
    response_body      BLOB,
    response_truncated INTEGER NOT NULL,
    dns_us             INTEGER,
    connect_us         INTEGER,
    tls_us             INTEGER,
    waiting_us         INTEGER,
    PRIMARY KEY (delivery_id, number)
) STRICT;

-- The accounting of a webhook's deliveries, kept by store/counts.rs in the transaction of what it counts. Retention takes
-- rows away, not what was counted of them.
CREATE TABLE webhook_accounting (
    webhook_id TEXT PRIMARY KEY REFERENCES webhooks,
    events     INTEGER NOT NULL DEFAULT 0,   -- made for it: a delivery each
    pending    INTEGER NOT NULL DEFAULT 0,
    delivered  INTEGER NOT NULL DEFAULT 0,
    failed     INTEGER NOT NULL DEFAULT 0,
    canceled   INTEGER NOT NULL DEFAULT 0,
    removed    INTEGER NOT NULL DEFAULT 0    -- of these, rows that retention has removed
) STRICT, WITHOUT ROWID;

CREATE TRIGGER webhook_has_accounting AFTER INSERT ON webhooks BEGIN
    INSERT INTO webhook_accounting (webhook_id) VALUES (NEW.id);
END;

-- Alerts on their way to --alert-url; a row goes when it has arrived.
CREATE TABLE alerts (
    id         TEXT PRIMARY KEY,
    webhook_id TEXT NOT NULL REFERENCES webhooks,
    event      TEXT NOT NULL,
    body       BLOB NOT NULL,
    attempts   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a call or form answered, so that the same one sent again does nothing twice.
CREATE TABLE idempotency (
    owner        TEXT NOT NULL,          -- a token's or a user's id
    call         TEXT NOT NULL,
    key          TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    feedback_id  TEXT,                   -- whose words the answer holds
    answer       TEXT,                   -- NULL: the feedback was deleted
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (owner, call, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created_at);
CREATE INDEX idempotency_by_feedback ON idempotency (feedback_id) WHERE feedback_id IS NOT NULL;

-- What this installation signs with, beside the webhooks' secrets.
CREATE TABLE keys (
    name TEXT PRIMARY KEY,
    key  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
