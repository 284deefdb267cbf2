-- Webhooks send events in the formats of chat services and by email, and searches find metadata.
-- Existing webhooks keep the standard format, whatever their URL is. No statement here rewrites a
-- large table.

ALTER TABLE webhooks ADD COLUMN format TEXT NOT NULL DEFAULT 'standard';
-- Whether payloads contain the email, the page URL, the metadata, and the link of feedback.
ALTER TABLE webhooks ADD COLUMN details INTEGER NOT NULL DEFAULT 0;

-- When a field of the project itself changed last.
ALTER TABLE projects ADD COLUMN updated_at INTEGER NOT NULL DEFAULT 0;
UPDATE projects SET updated_at = created_at;

-- The bodies of an event in other formats, and with details. The plain standard body is in events,
-- where an empty body means that no delivery needs it.
CREATE TABLE event_bodies (
    number       INTEGER PRIMARY KEY,
    event_number INTEGER NOT NULL REFERENCES events ON DELETE CASCADE,
    format       TEXT NOT NULL,
    details      INTEGER NOT NULL,
    body         BLOB              -- NULL: erased with the feedback
) STRICT;
CREATE INDEX event_bodies_by_event ON event_bodies (event_number);

-- The body of the delivery in event_bodies. NULL: the event's own body. There is no foreign key,
-- because each deletion of a body would then search all deliveries.
ALTER TABLE deliveries ADD COLUMN body_number INTEGER;

-- The search index also contains the n-grams of metadata. If there is metadata, the index is rebuilt
-- in the background. Meanwhile, searches scan the feedback that isn't indexed yet.
DROP TRIGGER unindex_deleted_feedback;
INSERT INTO feedback_search (feedback_search) SELECT 'delete-all'
WHERE EXISTS (SELECT 1 FROM feedback WHERE metadata IS NOT NULL);
UPDATE feedback_index_state SET indexed_until = 0
WHERE EXISTS (SELECT 1 FROM feedback WHERE metadata IS NOT NULL);
CREATE TRIGGER unindex_deleted_feedback AFTER DELETE ON feedback BEGIN
    INSERT INTO feedback_search (feedback_search, rowid, ngrams)
    SELECT 'delete', old.number, search_terms(old.project_id, old.status, old.message, old.email,
                                              old.url, old.metadata)
    WHERE old.number <= (SELECT indexed_until FROM feedback_index_state);
END;
