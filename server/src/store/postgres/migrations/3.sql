-- What a session keeps of its sign-in: when the person authenticated, and the values of claims, as JSON.

ALTER TABLE sessions ADD COLUMN authenticated timestamptz;
ALTER TABLE sessions ADD COLUMN claims text;

-- Completes a sign-in that was decided by a view: creates or links the user, or checks that its version is still
-- `p_version`; updates profile and teams unless they are NULL; opens the session in place of `p_replaces`, and ends the
-- user's oldest sessions beyond `p_most`. Raises CG001 if the view does not hold any more: the user, the username or the
-- link has changed, or a logout of the person is newer than the position `p_newest`.
-- `p_issuer` is NULL for a sign-in with a password, `p_user` for a user to create. The person authenticated `p_since` seconds
-- ago; `p_claims` are values of claims. Returns the user's identifier.
CREATE FUNCTION sign_in(
    p_issuer text, p_subject text, p_subject_tag bytea, p_sid text, p_sid_tag bytea, p_issued_at bigint, p_newest bigint,
    p_user bigint, p_version bigint, p_link boolean, p_username text, p_kind text, p_profile text, p_teams text,
    p_session bytea, p_replaces bytea, p_id_token text, p_lifetime bigint, p_most integer, p_since bigint, p_claims text
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    q bigint;
    number integer;
    account bigint := p_user;
    ended bytea[];
    more bytea[];
BEGIN
    UPDATE ord SET seq = seq + 1 WHERE one RETURNING seq INTO q;
    IF p_issuer IS NOT NULL THEN
        number := issuer_number(p_issuer);
        IF EXISTS (SELECT FROM logouts WHERE issuer = number AND sid_tag = p_sid_tag AND seq > p_newest)
            OR EXISTS (SELECT FROM logouts WHERE issuer = number AND subject_tag = p_subject_tag
                AND (sid_tag IS NULL OR p_sid_tag IS NULL) AND seq > p_newest)
            OR (p_link AND EXISTS (SELECT FROM links WHERE issuer = number AND subject_tag = p_subject_tag))
        THEN
            RAISE EXCEPTION 'the view is stale' USING ERRCODE = 'CG001';
        END IF;
    END IF;
    IF account IS NULL THEN
        INSERT INTO users (username, kind, active, profile, teams, version)
        VALUES (p_username, p_kind, true, p_profile, p_teams, q) ON CONFLICT (username) DO NOTHING RETURNING id INTO account;
    ELSIF p_link OR p_profile IS NOT NULL THEN
        UPDATE users SET profile = coalesce(p_profile, profile), teams = coalesce(p_teams, teams), version = q, updated = now()
        WHERE id = p_user AND version = p_version RETURNING id INTO account;
    ELSE
        SELECT id INTO account FROM users WHERE id = p_user AND version = p_version;
    END IF;
    IF account IS NULL THEN
        RAISE EXCEPTION 'the view is stale' USING ERRCODE = 'CG001';
    END IF;
    IF p_link THEN
        INSERT INTO links (issuer, subject_tag, subject, user_id) VALUES (number, p_subject_tag, p_subject, account);
    END IF;
    WITH gone AS (DELETE FROM sessions WHERE id = p_replaces RETURNING id)
    SELECT coalesce(array_agg(id), '{}') INTO ended FROM gone;
    INSERT INTO sessions
        (id, user_id, issuer, subject_tag, sid_tag, subject, sid, issued_at, expires, authenticated, claims)
    VALUES (p_session, account, number, p_subject_tag, p_sid_tag, p_subject, p_sid, p_issued_at,
        now() + p_lifetime * interval '1 second', now() - p_since * interval '1 second', p_claims);
    IF p_id_token IS NOT NULL THEN
        INSERT INTO id_tokens (session, sealed) VALUES (p_session, p_id_token);
    END IF;
    WITH gone AS (
        DELETE FROM sessions WHERE id IN (
            SELECT id FROM sessions WHERE user_id = account ORDER BY created DESC, id DESC OFFSET p_most
        ) RETURNING id
    )
    SELECT coalesce(array_agg(id), '{}') INTO more FROM gone;
    PERFORM complete_step(q, ended || more,
        CASE WHEN p_user IS NOT NULL AND (p_link OR p_profile IS NOT NULL) THEN ARRAY[account] ELSE '{}' END);
    RETURN account;
END
$$;

-- The function as nodes of the first version call it: their sessions keep nothing of the sign-in.
CREATE OR REPLACE FUNCTION sign_in(
    p_issuer text, p_subject text, p_subject_tag bytea, p_sid text, p_sid_tag bytea, p_issued_at bigint, p_newest bigint,
    p_user bigint, p_version bigint, p_link boolean, p_username text, p_kind text, p_profile text, p_teams text,
    p_session bytea, p_replaces bytea, p_id_token text, p_lifetime bigint, p_most integer
) RETURNS bigint LANGUAGE sql AS $$
    SELECT sign_in(
        p_issuer, p_subject, p_subject_tag, p_sid, p_sid_tag, p_issued_at, p_newest, p_user, p_version,
        p_link, p_username, p_kind, p_profile, p_teams, p_session, p_replaces, p_id_token, p_lifetime, p_most, NULL, NULL);
$$;
