-- The one way into the log. Everything an append must be happens in here, in one round trip:
-- a lock that makes positions visible in their own order, the epoch fence, the version check, the hash chain.
-- Arrays describe a batch of appends (a_), whose streams all differ, and their events (e_) one after the other.
CREATE FUNCTION ledger_append(
    a_streams text[],
    a_numbers bigint[],              -- per append: expected version, epoch, number of events
    e_ids uuid[],
    e_links uuid[],                  -- per event: causation, correlation
    e_texts text[],                  -- per event: type, actor
    e_numbers bigint[],              -- per event: schema version, occurred_at in microseconds since 1970
    e_payloads bytea[],
    s_states bytea[] DEFAULT NULL,   -- per append, null where there is none
    s_texts text[] DEFAULT NULL,     -- per append: fold version, namespace, name, phase
    s_due bigint[] DEFAULT NULL,
    s_closed boolean[] DEFAULT NULL,
    c_appends bigint[] DEFAULT NULL, -- number of the append a content belongs to, from 1
    c_digests text[] DEFAULT NULL,
    c_bodies bytea[] DEFAULT NULL
) RETURNS TABLE (
    out_outcome integer,             -- 0 written, 1 was written before, 2 conflict, 3 stale epoch, 4 event id taken
    out_version bigint,              -- last version; 2: version of the head; 3: current epoch
    out_position bigint,
    out_hash bytea,
    out_recorded_at timestamptz
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = {schema}, pg_temp
-- Plans are made while the tables are small and kept while they grow: never let one be made that reads a whole table.
SET enable_seqscan = off
AS $ledger$
DECLARE
    microsecond CONSTANT interval := interval '1 microsecond';
    v_epoch bigint;                  -- newest epoch granted
    v_position bigint;
    v_recorded_at timestamptz;
    v_recorded bigint;
    v_retry boolean;                 -- some event id of the batch is in the log already
    v_known bigint;
    v_matching bigint;
    v_event integer := 0;            -- events before the current append
    v_expected bigint;
    v_count bigint;
    v_head bigint;
    v_hash bytea;
    v_prev bytea;
    v_stream text;
    v_type text;
    v_actor text;
    v_payload bytea;
    v_written boolean[] := '{}';
    -- What is to be written, per accepted event (n_) and per stream (h_): rows go in by one statement per table.
    n_event integer[] := '{}';
    n_position bigint[] := '{}';
    n_stream text[] := '{}';
    n_version bigint[] := '{}';
    n_epoch bigint[] := '{}';
    n_prev bytea[] := '{}';
    n_hash bytea[] := '{}';
    n integer := 0;
    h_stream text[] := '{}';
    h_version bigint[] := '{}';
    h_hash bytea[] := '{}';
    h_first bigint[] := '{}';
    h integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7301450982116001);
    SELECT coalesce((SELECT epoch FROM leases WHERE name = 'operator'), 0),
           coalesce(last.position, 0),
           greatest(last.recorded_at, clock_timestamp()),
           EXISTS (SELECT 1 FROM events WHERE event_id = ANY (e_ids))
      INTO v_epoch, v_position, v_recorded_at, v_retry
      FROM (VALUES (1)) AS one
      LEFT JOIN LATERAL (SELECT position, recorded_at FROM events ORDER BY position DESC LIMIT 1) AS last ON true;
    v_recorded := (extract(epoch FROM v_recorded_at) * 1000000)::bigint;

    FOR i IN 1 .. cardinality(a_streams) LOOP
        v_stream := a_streams[i];
        v_expected := a_numbers[3 * i - 2];
        v_count := a_numbers[3 * i];
        v_written[i] := false;
        out_outcome := NULL;
        SELECT version, hash INTO v_head, v_hash FROM stream_heads WHERE stream_id = v_stream;
        IF NOT FOUND THEN
            v_head := 0;
            v_hash := decode(repeat('00', 32), 'hex');
        END IF;
        v_known := 0;
        IF v_retry THEN
            SELECT count(*), count(*) FILTER (WHERE e.stream_id = v_stream AND e.version = v_expected + u.nth)
              INTO v_known, v_matching
              FROM unnest(e_ids[v_event + 1 : v_event + v_count]) WITH ORDINALITY AS u (id, nth)
              JOIN events e ON e.event_id = u.id;
        END IF;
        IF v_known > 0 AND v_matching = v_count THEN
            SELECT 1, e.version, e.position, e.hash, e.recorded_at
              INTO out_outcome, out_version, out_position, out_hash, out_recorded_at
              FROM events e WHERE e.stream_id = v_stream AND e.version = v_expected + v_count;
        ELSIF v_known = 0 AND a_numbers[3 * i - 1] < v_epoch THEN
            out_outcome := 3;
            out_version := v_epoch;
        ELSIF v_head <> v_expected THEN
            out_outcome := 2;
            out_version := v_head;
        ELSIF v_known > 0 THEN
            out_outcome := 4;
        END IF;
        IF out_outcome IS NOT NULL THEN
            v_event := v_event + v_count;
            RETURN NEXT;
            CONTINUE;
        END IF;

        FOR j IN v_event + 1 .. v_event + v_count LOOP
            v_head := v_head + 1;
            v_position := v_position + 1;
            v_prev := v_hash;
            v_type := e_texts[2 * j - 1];
            v_actor := e_texts[2 * j];
            v_payload := e_payloads[j];
            v_hash := sha256(v_prev || convert_to(
                concat_ws(
                    ' ', 'stackledger-1', v_head, e_numbers[2 * j - 1], a_numbers[3 * i - 1], e_numbers[2 * j],
                    v_recorded, replace(e_ids[j]::text, '-', ''),
                    coalesce(replace(e_links[2 * j - 1]::text, '-', ''), '-'),
                    replace(e_links[2 * j]::text, '-', ''),
                    octet_length(v_stream), octet_length(v_type), octet_length(v_actor), octet_length(v_payload)
                ) || chr(10) || v_stream || v_type || v_actor, 'UTF8') || v_payload);
            n := n + 1;
            n_event[n] := j;
            n_position[n] := v_position;
            n_stream[n] := v_stream;
            n_version[n] := v_head;
            n_epoch[n] := a_numbers[3 * i - 1];
            n_prev[n] := v_prev;
            n_hash[n] := v_hash;
        END LOOP;
        h := h + 1;
        h_stream[h] := v_stream;
        h_version[h] := v_head;
        h_hash[h] := v_hash;
        h_first[h] := v_position - v_count + 1;
        IF s_states[i] IS NOT NULL THEN
            INSERT INTO platform_states AS p (
                stream_id, version, head_hash, state, fold_version, namespace, name, phase, due_at, closed
            ) VALUES (
                v_stream, v_head, v_hash, convert_from(s_states[i], 'UTF8')::json,
                s_texts[4 * i - 3], s_texts[4 * i - 2], s_texts[4 * i - 1], s_texts[4 * i],
                timestamptz 'epoch' + s_due[i] * microsecond, s_closed[i]
            ) ON CONFLICT (stream_id) DO UPDATE SET
                version = excluded.version, head_hash = excluded.head_hash, state = excluded.state,
                fold_version = excluded.fold_version, namespace = excluded.namespace, name = excluded.name,
                phase = excluded.phase, due_at = excluded.due_at, closed = excluded.closed;
        END IF;
        v_written[i] := true;
        v_event := v_event + v_count;
        out_outcome := 0;
        out_version := v_head;
        out_position := v_position;
        out_hash := v_hash;
        out_recorded_at := v_recorded_at;
        RETURN NEXT;
    END LOOP;

    INSERT INTO events (
        position, stream_id, version, event_id, type, schema_version, occurred_at, recorded_at,
        causation_id, correlation_id, actor, epoch, prev_hash, hash, payload
    )
    SELECT n.position, n.stream, n.version, e_ids[n.event], e_texts[2 * n.event - 1], e_numbers[2 * n.event - 1],
           timestamptz 'epoch' + e_numbers[2 * n.event] * microsecond, v_recorded_at,
           e_links[2 * n.event - 1], e_links[2 * n.event], e_texts[2 * n.event], n.epoch, n.prev, n.hash,
           convert_from(e_payloads[n.event], 'UTF8')::json
      FROM unnest(n_event, n_position, n_stream, n_version, n_epoch, n_prev, n_hash)
           AS n (event, position, stream, version, epoch, prev, hash);

    -- A stream twice in one batch would be updated twice by one statement, which Postgres refuses.
    INSERT INTO stream_heads (stream_id, version, hash, first_position)
    SELECT * FROM unnest(h_stream, h_version, h_hash, h_first)
        ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, hash = excluded.hash;

    IF c_digests IS NOT NULL THEN
        INSERT INTO contents (digest, body)
        SELECT c.digest, c.body FROM unnest(c_appends, c_digests, c_bodies) AS c (append, digest, body)
         WHERE v_written[c.append]
            ON CONFLICT (digest) DO NOTHING;
    END IF;
END
$ledger$
-- next
-- Replace a stored state after a refold, if the stream still is at that version.
CREATE FUNCTION ledger_store_state(
    p_stream text, p_version bigint, p_state bytea, p_fold_version text, p_namespace text, p_name text, p_phase text,
    p_due bigint, p_closed boolean
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = {schema}, pg_temp
AS $ledger$
DECLARE
    v_hash bytea;
BEGIN
    PERFORM pg_advisory_xact_lock(7301450982116001);
    SELECT hash INTO v_hash FROM stream_heads WHERE stream_id = p_stream AND version = p_version;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO platform_states AS p (
        stream_id, version, head_hash, state, fold_version, namespace, name, phase, due_at, closed
    ) VALUES (
        p_stream, p_version, v_hash, convert_from(p_state, 'UTF8')::json, p_fold_version, p_namespace, p_name, p_phase,
        timestamptz 'epoch' + p_due * interval '1 microsecond', p_closed
    ) ON CONFLICT (stream_id) DO UPDATE SET
        version = excluded.version, head_hash = excluded.head_hash, state = excluded.state,
        fold_version = excluded.fold_version, namespace = excluded.namespace, name = excluded.name,
        phase = excluded.phase, due_at = excluded.due_at, closed = excluded.closed;
    RETURN true;
END
$ledger$
-- next
-- A new epoch for the holder, unless somebody else's lease has not run out. Waits for the append that is under way, so
-- that no append of an older epoch can come after it.
CREATE FUNCTION ledger_acquire_lease(p_holder text, p_ttl double precision)
RETURNS TABLE (out_epoch bigint, out_expires_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = {schema}, pg_temp
AS $ledger$
BEGIN
    PERFORM pg_advisory_xact_lock(7301450982116001);
    -- clock_timestamp(), not now(): the time when the lock was got, not the time when waiting for it began.
    RETURN QUERY
    INSERT INTO leases AS l (name, holder, epoch, expires_at)
    VALUES ('operator', p_holder, 1, clock_timestamp() + p_ttl * interval '1 second')
        ON CONFLICT (name) DO UPDATE
       SET holder = excluded.holder, epoch = l.epoch + 1, expires_at = excluded.expires_at
     WHERE l.holder = excluded.holder OR l.expires_at <= clock_timestamp()
    RETURNING l.epoch, l.expires_at;
END
$ledger$
-- next
-- Move the end of a lease that is still the newest to `p_ttl` seconds from now; 0 gives it up.
CREATE FUNCTION ledger_extend_lease(p_holder text, p_epoch bigint, p_ttl double precision)
RETURNS TABLE (out_expires_at timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = {schema}, pg_temp
AS $ledger$
BEGIN
    RETURN QUERY
    UPDATE leases AS l SET expires_at = clock_timestamp() + p_ttl * interval '1 second'
     WHERE l.name = 'operator' AND l.holder = p_holder AND l.epoch = p_epoch
    RETURNING l.expires_at;
END
$ledger$
-- next
CREATE FUNCTION ledger_refuse() RETURNS trigger
LANGUAGE plpgsql SET search_path = {schema}, pg_temp
AS $ledger$
BEGIN
    RAISE EXCEPTION '% are append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$ledger$
-- next
CREATE TRIGGER events_refuse_change BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION ledger_refuse()
-- next
CREATE TRIGGER events_refuse_truncate BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()
-- next
CREATE TRIGGER contents_refuse_change BEFORE UPDATE OR DELETE ON contents
FOR EACH ROW EXECUTE FUNCTION ledger_refuse()
-- next
CREATE TRIGGER contents_refuse_truncate BEFORE TRUNCATE ON contents
FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()
-- next
REVOKE ALL ON FUNCTION
    ledger_append(
        text[], bigint[], uuid[], uuid[], text[], bigint[], bytea[],
        bytea[], text[], bigint[], boolean[], bigint[], text[], bytea[]),
    ledger_store_state(text, bigint, bytea, text, text, text, text, bigint, boolean),
    ledger_acquire_lease(text, double precision),
    ledger_extend_lease(text, bigint, double precision)
FROM PUBLIC
