-- Sessions whose tokens are refreshed at the provider.

-- Grants by session, sealed. `due` is the time of the next refresh; a node that claims it moves it.
CREATE TABLE refreshes (
    session bytea PRIMARY KEY,
    provider text COLLATE "C" NOT NULL,
    sealed text NOT NULL,
    due timestamptz NOT NULL
);
CREATE INDEX refreshes_due ON refreshes (provider, due);

-- A grant goes with its session, whatever ends that: also the functions of earlier versions.
CREATE FUNCTION delete_refreshes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM refreshes WHERE session IN (SELECT id FROM gone);
    RETURN NULL;
END
$$;
CREATE TRIGGER refreshes_of_ended AFTER DELETE ON sessions REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION delete_refreshes();

-- Keeps the grant of a session that the same transaction has opened. Does nothing for NULL.
CREATE FUNCTION keep_grant(p_session bytea, p_provider text, p_sealed text, p_after bigint) RETURNS void LANGUAGE sql STRICT AS $$
    INSERT INTO refreshes (session, provider, sealed, due)
    VALUES (p_session, p_provider, p_sealed, now() + p_after * interval '1 millisecond');
$$;

-- Claims at most `p_most` refreshes that are due, for `p_claimed` milliseconds. Those that another node is claiming are not
-- waited for. Returns also the issuers, by their present names.
CREATE FUNCTION claim_refreshes(p_provider text, p_most bigint, p_claimed bigint)
RETURNS TABLE (session bytea, sealed text, issuer text) LANGUAGE sql AS $$
    UPDATE refreshes r SET due = now() + p_claimed * interval '1 millisecond'
    FROM (
        SELECT held.session, i.name FROM refreshes held
        JOIN sessions s ON s.id = held.session JOIN issuers i ON i.id = s.issuer
        WHERE held.provider = p_provider AND held.due <= now() AND s.expires > now()
        ORDER BY held.due LIMIT p_most FOR UPDATE OF held SKIP LOCKED
    ) AS claimed
    WHERE r.session = claimed.session
    RETURNING r.session, r.sealed, claimed.name;
$$;
