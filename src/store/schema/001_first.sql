-- Times are milliseconds since the Unix epoch, UTC. Ids are the 16 bytes of a ULID, without the
-- prefix of the text form. Columns whose names end in _us contain microseconds.

CREATE TABLE users (
    id               BLOB PRIMARY KEY,
    email            TEXT NOT NULL,
    normalized_email TEXT NOT NULL UNIQUE,  -- lower case; two users can't differ in case alone
    password_hash    TEXT NOT NULL,         -- PHC string, Argon2id
    role             TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    created_at       INTEGER NOT NULL,
    last_seen_at     INTEGER,               -- last sign-in or page view, to within 10 minutes
    checklist_dismissed_at INTEGER          -- NULL: the checklist for new installations is shown
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    token_hash   BLOB PRIMARY KEY,  -- SHA-256 of the cookie's value
    id           BLOB NOT NULL UNIQUE,
    user_id      BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    browser      TEXT NOT NULL,     -- a short name such as 'Firefox on Linux', or ''
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE one_time_links (
    token_hash       BLOB PRIMARY KEY,  -- SHA-256 of the token in the URL
    id               BLOB NOT NULL UNIQUE,
    purpose          TEXT NOT NULL CHECK (purpose IN ('setup', 'invitation', 'reset')),
    user_id          BLOB REFERENCES users ON DELETE CASCADE,  -- for 'reset'
    email            TEXT,              -- for 'invitation': the invited person
    normalized_email TEXT UNIQUE,       -- for 'invitation': lower case
    role             TEXT CHECK (role IN ('admin', 'member')),  -- for 'invitation'
    -- Links that a deleted admin created are deleted too.
    created_by       BLOB REFERENCES users ON DELETE CASCADE,
    created_at       INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    used_at          INTEGER            -- the row remains, so that the link's page can say so
) STRICT, WITHOUT ROWID;
CREATE INDEX one_time_links_by_user ON one_time_links (user_id);
CREATE INDEX one_time_links_by_creator ON one_time_links (created_by);

CREATE TABLE api_tokens (
    id           BLOB PRIMARY KEY,
    token_hash   BLOB NOT NULL UNIQUE,  -- SHA-256 of the token
    name         TEXT NOT NULL,
    scope        TEXT NOT NULL CHECK (scope IN ('full', 'submit', 'metrics')),
    user_id      BLOB NOT NULL REFERENCES users ON DELETE CASCADE,
    created_by   BLOB REFERENCES users ON DELETE SET NULL,  -- NULL: created by the command line
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX api_tokens_by_user ON api_tokens (user_id);

CREATE TABLE projects (
    id              BLOB PRIMARY KEY,
    slug            TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('ACTIVE', 'PAUSED')),
    allowed_origins TEXT NOT NULL,  -- a JSON array; empty: all origins are allowed
    created_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The origins whose feedback a project has accepted or rejected.
CREATE TABLE origins (
    project_id     BLOB NOT NULL REFERENCES projects ON DELETE CASCADE,
    origin         TEXT NOT NULL,
    accepted_at    INTEGER,           -- time of the last accepted request
    rejected_count INTEGER NOT NULL,  -- requests rejected since the last accepted one
    rejected_at    INTEGER,           -- time of the last rejected request
    PRIMARY KEY (project_id, origin)
) STRICT, WITHOUT ROWID;

-- The first website that loaded the widget's script with the slug of a project. The table has at
-- most one row.
CREATE TABLE first_widget_load (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    origin    TEXT NOT NULL,
    loaded_at INTEGER NOT NULL
) STRICT;

CREATE TABLE feedback (
    -- Ascends like the ids, so lists are sorted by number. Every index entry ends with the number.
    -- It is also the rowid in feedback_search, so it is never reused.
    number           INTEGER PRIMARY KEY,
    id               BLOB NOT NULL UNIQUE,
    project_id       BLOB NOT NULL REFERENCES projects ON DELETE CASCADE,
    status           TEXT NOT NULL CHECK (status IN ('NEW', 'REVIEWED', 'RESOLVED')),
    message          TEXT NOT NULL,
    email            TEXT,
    normalized_email TEXT,                 -- lower case; used to find all feedback of a person
    url              TEXT,                 -- the page that the feedback is about
    metadata         TEXT,                 -- a JSON object
    created_at       INTEGER NOT NULL
) STRICT;
CREATE INDEX feedback_by_email ON feedback (normalized_email) WHERE normalized_email IS NOT NULL;
-- Lists of feedback with an email use this index, so they don't read feedback without an email.
CREATE INDEX feedback_with_email ON feedback (number, project_id, status) WHERE email IS NOT NULL;
CREATE INDEX feedback_by_project ON feedback (project_id);
CREATE INDEX feedback_by_status ON feedback (status);
CREATE INDEX feedback_by_project_and_status ON feedback (project_id, status);

-- The user's email and the token's name are copies, because the user or token can be deleted.
CREATE TABLE feedback_status_history (
    feedback_id     BLOB NOT NULL REFERENCES feedback (id) ON DELETE CASCADE,
    number          INTEGER NOT NULL,  -- 1 for the first change
    changed_at      INTEGER NOT NULL,
    previous_status TEXT NOT NULL,
    status          TEXT NOT NULL,
    user_email      TEXT NOT NULL,
    token_name      TEXT,              -- NULL: changed on a page
    PRIMARY KEY (feedback_id, number)
) STRICT, WITHOUT ROWID;

-- The number of feedback items of each project and status; maintained by store/db/counters.rs.
CREATE TABLE feedback_counts (
    project_id BLOB NOT NULL REFERENCES projects ON DELETE CASCADE,
    status     TEXT NOT NULL,
    count      INTEGER NOT NULL,
    PRIMARY KEY (project_id, status)
) STRICT, WITHOUT ROWID;

-- The search index. It contains the n-grams of each text (domain/search.rs) and filter terms: the
-- status, the project, both, and whether there is an email. The index is contentless, so a deletion
-- must pass the same terms again. New feedback is indexed later (store/search.rs).
CREATE VIRTUAL TABLE feedback_search USING fts5 (
    ngrams, content = '', columnsize = 0, detail = none, tokenize = 'ascii'
);
CREATE TABLE feedback_index_state (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    indexed_until INTEGER NOT NULL  -- the highest feedback.number that has been indexed
) STRICT;
INSERT INTO feedback_index_state VALUES (1, 0);

CREATE TRIGGER unindex_deleted_feedback AFTER DELETE ON feedback BEGIN
    INSERT INTO feedback_search (feedback_search, rowid, ngrams)
    SELECT 'delete', old.number,
           search_terms(old.project_id, old.status, old.message, old.email, old.url)
    WHERE old.number <= (SELECT indexed_until FROM feedback_index_state);
END;

CREATE TRIGGER reindex_changed_status AFTER UPDATE OF status ON feedback
WHEN old.status <> new.status BEGIN
    INSERT INTO feedback_search (feedback_search, rowid, ngrams)
    SELECT 'delete', old.number, search_status_terms(old.project_id, old.status)
    WHERE old.number <= (SELECT indexed_until FROM feedback_index_state);
    INSERT INTO feedback_search (rowid, ngrams)
    SELECT new.number, search_status_terms(new.project_id, new.status)
    WHERE old.number <= (SELECT indexed_until FROM feedback_index_state);
END;

CREATE TABLE webhooks (
    number                INTEGER PRIMARY KEY,  -- deliveries refer to it, because it is short
    id                    BLOB NOT NULL UNIQUE,
    url                   TEXT NOT NULL,
    description           TEXT NOT NULL,
    all_projects          INTEGER NOT NULL,  -- 0: only the projects in webhook_projects
    enabled               INTEGER NOT NULL,
    retry_policy          TEXT NOT NULL CHECK (retry_policy IN ('standard', 'patient')),
    headers               TEXT NOT NULL,     -- a JSON object
    secret                TEXT NOT NULL,
    next_secret           TEXT,              -- the new secret during a rotation's overlap
    overlap_ends_at       INTEGER,
    failing_since         INTEGER,
    consecutive_failures  INTEGER NOT NULL DEFAULT 0,  -- failed deliveries since the last success
    last_failed_delivery  BLOB,              -- the delivery of the last failed attempt
    alerted_at            INTEGER,           -- when the open 'failing' alert was created
    alerted_failing_since INTEGER,           -- failing_since at that time
    held_until            INTEGER,           -- end of a hold that the endpoint requested
    created_at            INTEGER NOT NULL,
    deleted_at            INTEGER            -- the row remains for its deliveries
) STRICT;

-- Every page of an admin counts the failing webhooks.
CREATE INDEX webhooks_failing ON webhooks (enabled, deleted_at) WHERE failing_since IS NOT NULL;

CREATE TABLE webhook_topics (
    webhook_id BLOB NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    topic      TEXT NOT NULL,  -- an event type, such as 'feedback.created'
    PRIMARY KEY (webhook_id, topic)
) STRICT, WITHOUT ROWID;

-- There is no foreign key to projects: if the last selected project is deleted, the webhook must
-- not fall back to all projects.
CREATE TABLE webhook_projects (
    webhook_id BLOB NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    project_id BLOB NOT NULL,
    PRIMARY KEY (webhook_id, project_id)
) STRICT, WITHOUT ROWID;

-- An event's body is stored once and shared by its deliveries.
CREATE TABLE events (
    number      INTEGER PRIMARY KEY,
    type        TEXT NOT NULL,
    feedback_id BLOB,              -- no foreign key: the delivery log outlives the feedback
    body        BLOB,              -- NULL: erased with the feedback
    created_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_feedback ON events (feedback_id) WHERE feedback_id IS NOT NULL;

-- This table is both the outbox and the delivery log. A row is 'pending' until its last attempt is
-- recorded or it is canceled.
CREATE TABLE deliveries (
    number         INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE,
    event_number   INTEGER NOT NULL REFERENCES events,
    webhook_number INTEGER NOT NULL REFERENCES webhooks,
    state          TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'failed', 'canceled')),
    due_at         INTEGER,            -- time of the next attempt; NULL unless pending
    attempts       INTEGER NOT NULL,   -- all attempts
    round_attempts INTEGER NOT NULL,   -- attempts since creation or the last redelivery
    created_at     INTEGER NOT NULL,
    finished_at    INTEGER,            -- NULL while pending
    -- Whether a person requested the next attempt. If so, it is made even during a hold.
    retry_requested INTEGER NOT NULL DEFAULT 0,
    -- Why the delivery was canceled; meaningless in other states.
    cancel_reason   TEXT
) STRICT;
CREATE INDEX deliveries_due ON deliveries (webhook_number, due_at, id) WHERE state = 'pending';
CREATE INDEX deliveries_retry_requested ON deliveries (webhook_number, due_at, id)
WHERE state = 'pending' AND retry_requested = 1;
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_number, id);
-- Indexes of failed and canceled deliveries: by webhook, by state, and by webhook and time. Pending
-- deliveries aren't included, because SQLite would have to add each of them to a second index and
-- remove it again.
CREATE INDEX deliveries_unsuccessful ON deliveries (webhook_number, state, id)
WHERE state = 'failed' OR state = 'canceled';
CREATE INDEX deliveries_unsuccessful_by_state ON deliveries (state, id)
WHERE state = 'failed' OR state = 'canceled';
CREATE INDEX deliveries_unsuccessful_since ON deliveries (webhook_number, state, finished_at)
WHERE state = 'failed' OR state = 'canceled';
CREATE INDEX deliveries_by_event ON deliveries (event_number);
CREATE INDEX deliveries_by_finished_at ON deliveries (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE attempts (
    delivery_number    INTEGER NOT NULL REFERENCES deliveries ON DELETE CASCADE,
    number             INTEGER NOT NULL,  -- 1 for the first attempt
    started_at         INTEGER NOT NULL,
    duration_us        INTEGER NOT NULL,
    status             INTEGER,           -- the response's HTTP status
    error              TEXT,
    error_code         TEXT,
    -- A JSON object; see domain/request_headers.rs. NULL: erased with the feedback.
    request_headers    TEXT,
    response_headers   TEXT,              -- a JSON array of pairs
    response_body      BLOB,
    response_truncated INTEGER NOT NULL,
    dns_us             INTEGER,
    connect_us         INTEGER,
    tls_us             INTEGER,
    waiting_us         INTEGER,
    PRIMARY KEY (delivery_number, number)
) STRICT;

-- Delivery totals since the webhook was created; maintained by store/db/counters.rs. Retention
-- deletes deliveries, but doesn't reduce these totals.
CREATE TABLE delivery_totals (
    webhook_id BLOB PRIMARY KEY REFERENCES webhooks (id),
    events     INTEGER NOT NULL DEFAULT 0,  -- each event is one delivery
    pending    INTEGER NOT NULL DEFAULT 0,
    delivered  INTEGER NOT NULL DEFAULT 0,
    failed     INTEGER NOT NULL DEFAULT 0,
    canceled   INTEGER NOT NULL DEFAULT 0,
    deleted    INTEGER NOT NULL DEFAULT 0   -- rows that retention has deleted
) STRICT, WITHOUT ROWID;

CREATE TRIGGER create_delivery_totals AFTER INSERT ON webhooks BEGIN
    INSERT INTO delivery_totals (webhook_id) VALUES (NEW.id);
END;

-- The number of a webhook's attempts by hour, result, and response time, without tests; maintained
-- by store/db/counters.rs. Pages compute success rates and percentiles from it.
CREATE TABLE attempt_statistics (
    webhook_id  BLOB NOT NULL REFERENCES webhooks (id),
    hour        INTEGER NOT NULL,  -- start of the hour in which the attempts started
    is_success  INTEGER NOT NULL,
    response_ms INTEGER NOT NULL,  -- rounded to two significant digits; -1: no response
    count       INTEGER NOT NULL,
    PRIMARY KEY (webhook_id, hour, is_success, response_ms)
) STRICT, WITHOUT ROWID;

-- Alerts waiting to be sent to --alert-url. A row is deleted when the alert has been received.
CREATE TABLE alerts (
    id         BLOB PRIMARY KEY,
    webhook_id BLOB NOT NULL REFERENCES webhooks (id),
    event      TEXT NOT NULL,
    body       BLOB NOT NULL,
    attempts   INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Responses by idempotency key: a repeated request receives the first response and has no second
-- effect.
CREATE TABLE idempotency_keys (
    owner        TEXT NOT NULL,     -- a token or user id, or a project's id or slug
    operation    TEXT NOT NULL,
    key          TEXT NOT NULL,
    request_hash BLOB NOT NULL,     -- SHA-256 of the request
    feedback_id  BLOB,              -- the feedback that the response contains
    response     TEXT,              -- NULL: erased with the feedback
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (owner, operation, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_created_at ON idempotency_keys (created_at);
CREATE INDEX idempotency_keys_by_feedback ON idempotency_keys (feedback_id)
WHERE feedback_id IS NOT NULL;

-- The server's last readings of the system clock. When the server starts, it compares the clock
-- with these readings.
CREATE TABLE clock_readings (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    read_at    INTEGER NOT NULL,
    trusted_at INTEGER             -- the last reading that was trusted
) STRICT;

-- The signing keys of this installation, except webhook secrets.
CREATE TABLE signing_keys (
    name TEXT PRIMARY KEY,
    key  BLOB NOT NULL
) STRICT, WITHOUT ROWID;
