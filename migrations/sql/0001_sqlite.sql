CREATE TRIGGER events_refuse_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only: UPDATE is refused'); END
-- next
CREATE TRIGGER events_refuse_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only: DELETE is refused'); END
-- next
-- INSERT OR REPLACE deletes without firing the trigger above.
CREATE TRIGGER events_refuse_replace BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE position = NEW.position)
  OR EXISTS (SELECT 1 FROM events WHERE event_id = NEW.event_id)
  OR EXISTS (SELECT 1 FROM events WHERE stream_id = NEW.stream_id AND version = NEW.version)
BEGIN SELECT RAISE(ABORT, 'events are append-only: REPLACE is refused'); END
-- next
CREATE TRIGGER contents_refuse_update BEFORE UPDATE ON contents
BEGIN SELECT RAISE(ABORT, 'contents are append-only: UPDATE is refused'); END
-- next
CREATE TRIGGER contents_refuse_delete BEFORE DELETE ON contents
BEGIN SELECT RAISE(ABORT, 'contents are append-only: DELETE is refused'); END
