-- The idle time: `expires` moves with the uses of a session, up to `latest`, the end of its lifetime. `latest` is NULL while
-- `expires` is the end of the lifetime.

ALTER TABLE sessions ADD COLUMN latest timestamptz;

-- Limits the rest of a session that the same transaction has opened to `p_idle` seconds. Does nothing for NULL.
CREATE FUNCTION limit_session(p_session bytea, p_idle bigint) RETURNS void LANGUAGE sql STRICT AS $$
    UPDATE sessions SET latest = expires, expires = least(expires, now() + p_idle * interval '1 second')
    WHERE id = p_session;
$$;

-- Limits the rest of at most `p_most` sessions to `p_idle` seconds: those that were opened without an idle time, or with a
-- longer one. Nodes that have them in memory read them again: they are in the step as if they had ended. Returns whether
-- there may be more.
CREATE FUNCTION limit_sessions(p_most integer, p_idle bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    q bigint;
    limited bytea[];
BEGIN
    IF NOT EXISTS (SELECT FROM sessions WHERE expires > now() + p_idle * interval '1 second') THEN
        RETURN false;
    END IF;
    q := take_position();
    WITH moved AS (
        UPDATE sessions SET latest = coalesce(latest, expires), expires = now() + p_idle * interval '1 second'
        WHERE id = ANY (ARRAY(SELECT id FROM sessions WHERE expires > now() + p_idle * interval '1 second' LIMIT p_most))
        RETURNING id
    )
    SELECT coalesce(array_agg(id), '{}') INTO limited FROM moved;
    PERFORM complete_step(q, '{}', '{}');
    UPDATE steps SET ended = limited WHERE seq = q;
    RETURN cardinality(limited) >= p_most;
END
$$;

-- Writes the uses of sessions: each is to end so many milliseconds from now, if that is later, but not after its lifetime.
-- Returns those that were written, and the milliseconds left. A session that is over stays over; one that is locked is
-- written, or ended, by another.
CREATE FUNCTION use_sessions(p_sessions bytea[], p_left bigint[])
RETURNS TABLE (session bytea, remaining bigint) LANGUAGE sql AS $$
    UPDATE sessions s
    SET expires = least(s.latest, greatest(s.expires, now() + used.remaining * interval '1 millisecond'))
    FROM (
        SELECT held.id, u.remaining FROM unnest(p_sessions, p_left) AS u (id, remaining) JOIN sessions held ON held.id = u.id
        WHERE held.latest IS NOT NULL AND held.expires > now()
        FOR UPDATE OF held SKIP LOCKED
    ) AS used
    WHERE s.id = used.id
    RETURNING s.id, floor(extract(epoch FROM s.expires - now()) * 1000)::bigint;
$$;
