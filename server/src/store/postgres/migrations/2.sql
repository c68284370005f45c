-- Events: who signed in, who was refused, who signed out and what administrators changed.
--
-- `id` is the time in microseconds since 1970, greater than that of each event before it: what adds events holds the order
-- row. `n` counts the events of a kind: the difference between the first and the last is their number.

CREATE TABLE events (
    kind smallint NOT NULL,
    id bigint NOT NULL,
    n bigint NOT NULL,
    code text NOT NULL,
    user_id bigint,
    username text COLLATE "C",
    provider text COLLATE "C",
    subject text,
    client text,
    application text,
    rule text,
    admin_id bigint,
    admin text COLLATE "C",
    detail text,
    count bigint NOT NULL,
    PRIMARY KEY (kind, id)
);

-- Adds events, given as a JSON array. The user is that of the identifier, of the username or, without both, of the link of a
-- subject; a name of no user stays a name. Does nothing for NULL.
CREATE FUNCTION add_events(p_events text) RETURNS void LANGUAGE plpgsql STRICT AS $$
DECLARE
    e record;
    newest bigint;
    account bigint;
BEGIN
    PERFORM FROM ord WHERE one FOR UPDATE;
    SELECT coalesce(max(last.id), 0) INTO newest FROM generate_series(1, 5) AS k,
        LATERAL (SELECT id FROM events WHERE kind = k ORDER BY id DESC LIMIT 1) AS last;
    FOR e IN SELECT * FROM json_to_recordset(p_events::json) AS g (
        kind smallint, code text, username text, user_id bigint, issuer text, subject_tag text, provider text, subject text, client text,
        application text, rule text, admin text, detail text, count bigint)
    LOOP
        newest := greatest(newest + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
        account := coalesce(e.user_id, (SELECT id FROM users WHERE username = e.username));
        IF account IS NULL AND e.username IS NULL AND e.issuer IS NOT NULL THEN
            SELECT l.user_id INTO account FROM links l JOIN issuers i ON i.id = l.issuer
            WHERE i.name = e.issuer AND l.subject_tag = decode(e.subject_tag, 'hex');
        END IF;
        INSERT INTO events (kind, id, n, code, user_id, username, provider, subject, client, application, rule, admin_id,
            admin, detail, count)
        VALUES (e.kind, newest,
            1 + coalesce((SELECT n FROM events WHERE kind = e.kind ORDER BY id DESC LIMIT 1), 0),
            e.code, account, coalesce(e.username, (SELECT username FROM users WHERE id = account)),
            e.provider, e.subject, e.client, e.application, e.rule, (SELECT id FROM users WHERE username = e.admin),
            e.admin, e.detail, e.count);
    END LOOP;
END
$$;

-- Deletes at most `p_most` events of each kind that are older than `p_retention` microseconds or more than `p_max`, unless
-- another node deletes. Returns whether there may be more.
CREATE FUNCTION purge_events(p_most integer, p_retention bigint, p_max bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    gone bigint;
    most bigint := 0;
    oldest bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - p_retention;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('claimgate purge', 0)) THEN
        RETURN false;
    END IF;
    FOR k IN 1..5 LOOP
        DELETE FROM events WHERE kind = k AND id = ANY (ARRAY(
            SELECT first.id FROM (SELECT id, n FROM events WHERE kind = k ORDER BY id LIMIT p_most) AS first
            WHERE first.id < oldest
                OR first.n <= (SELECT n FROM events WHERE kind = k ORDER BY id DESC LIMIT 1) - p_max));
        GET DIAGNOSTICS gone = ROW_COUNT;
        most := greatest(most, gone);
    END LOOP;
    RETURN most >= p_most;
END
$$;
