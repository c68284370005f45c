#!/usr/bin/env python3
"""Writes the test vectors beside this file. Deterministic: the same bytes on every run.

Needs Python 3.9 and `cryptography` (43 or newer). Every key is derived from a label, so that none
is secret and none needs storing. What the tests read is the committed output.
"""

from jose import *

# --- good: every algorithm, every kind of token --------------------------------------------------

GOOD = [("RS256", RSA2048), ("RS384", RSA2048), ("RS512", RSA3072), ("PS256", RSA2048), ("PS384", RSA2048),
        ("PS512", RSA3072), ("HS256", SECRET), ("HS384", SECRET), ("HS512", SECRET), ("ES256", P256),
        ("ES384", P384), ("ES512", P521), ("EdDSA", ED), ("Ed25519", ED)]
for alg, key in GOOD:
    material = SECRET_KEY if isinstance(key, bytes) else {"jwk": key.jwk(kid="k1", use="sig", alg=alg)}
    kid = {} if isinstance(key, bytes) else {"kid": "k1"}
    row("good", "algorithm", alg, token(alg, key, header={"alg": alg, "typ": "JWT", **kid}), material, [alg], True, ID_POLICY)
    if not isinstance(key, bytes):
        row("good", "pem", alg, token(alg, key), {"pem": public_pem(key)}, [alg], True, ID_POLICY)
        row("good", "signature", alg, token(alg, key, payload=b"not even JSON"), {"jwk": key.jwk()}, [alg], True)
for alg, key in [("RS256", RSA3072), ("RS256", RSA4096), ("RS384", RSA4096), ("RS512", RSA2048), ("RS512", RSA4096), ("PS256", RSA4096)]:
    row("good", "rsa size", f"{alg}-{key.n.bit_length()}", token(alg, key), {"jwk": key.jwk()}, [alg], True, ID_POLICY)
for name, payload, header, policy in [
    ("id-token", ID, {"alg": "HS256"}, ID_POLICY),
    ("id-token-media-type", ID, {"alg": "HS256", "typ": "application/jwt"}, ID_POLICY),
    ("id-token-several-audiences", {**ID, "aud": ["crm", "billing"], "azp": "crm"}, {"alg": "HS256"}, {**ID_POLICY, "trusted_audiences": ["billing"]}),
    ("id-token-several-audiences-without-azp", {**ID, "aud": ["billing", "crm"]}, {"alg": "HS256"}, {**ID_POLICY, "trusted_audiences": ["billing", "shop"]}),
    ("id-token-repeated-audience", {**ID, "aud": ["crm", "crm"]}, {"alg": "HS256"}, ID_POLICY),
    ("id-token-authorized-party", {**ID, "azp": "app"}, {"alg": "HS256"}, {**ID_POLICY, "authorized_parties": ["app"]}),
    ("logout-token-several-audiences", {**LOGOUT, "aud": ["crm", "billing"]}, {"alg": "HS256"}, {**LOGOUT_POLICY, "trusted_audiences": ["billing"]}),
    ("access-token-several-audiences", {**ID, "aud": ["crm", "billing"]}, {"alg": "HS256", "typ": "at+jwt"}, ACCESS_POLICY),
    ("id-token-fraction", {**ID, "exp": NOW + 600.5, "iat": NOW - 0.25}, {"alg": "HS256"}, ID_POLICY),
    ("id-token-nonce", {**ID, "nonce": "n-0S6"}, {"alg": "HS256"}, {**ID_POLICY, "nonce": "n-0S6"}),
    ("logout-token", LOGOUT, {"alg": "HS256", "typ": "logout+jwt"}, LOGOUT_POLICY),
    ("logout-token-plain", LOGOUT, {"alg": "HS256", "typ": "JWT"}, LOGOUT_POLICY),
    ("logout-token-sid", {**{k: v for k, v in LOGOUT.items() if k != "sub"}, "sid": "s1"}, {"alg": "HS256"}, LOGOUT_POLICY),
    ("access-token", ID, {"alg": "HS256", "typ": "at+jwt"}, ACCESS_POLICY),
    ("jwt", {"exp": NOW + 1}, {"alg": "HS256"}, JWT_POLICY),
    ("jwt-nothing-required", {}, {"alg": "HS256"}, {**JWT_POLICY, "require": []}),
    ("unknown-header-members", ID, {"alg": "HS256", "x": [1, {"y": None}]}, ID_POLICY),
    ("unicode", {**ID, "name": "Zo\u00eb \U0001f600"}, {"alg": "HS256"}, ID_POLICY),
    ("subject-and-jti", {**ID, "jti": "a"}, {"alg": "HS256"}, {**ID_POLICY, "subject": "248289761001", "jti": "a"}),
    ("ignored-times", {**ID, "exp": 1, "nbf": NOW + 9999, "iat": NOW + 9999}, {"alg": "HS256"}, {**ID_POLICY, "ignore": ["exp", "nbf", "iat"]}),
]:
    row("good", "kind", name, hs(payload, header), SECRET_KEY, ["HS256"], True, policy)
row("good", "keys", "one-of-several", token("ES256", P256), {"jwks": {"keys": [RSA2048.jwk(), P256_B.jwk(), P256.jwk()]}}, ["RS256", "ES256"], True, ID_POLICY)
row("good", "keys", "bad-key-beside-good", token("ES256", P256, header={"alg": "ES256", "kid": "b"}),
    {"jwks": {"keys": [RSA1024.jwk(kid="a"), {"kty": 7}, {"kty": "RSA"}, P256.jwk(kid="b")]}}, ["RS256", "ES256"], True, ID_POLICY)
row("good", "keys", "nameless-key-serves-a-kid", token("EdDSA", ED, header={"alg": "EdDSA", "kid": "z"}), {"jwk": ED.jwk()}, ["EdDSA"], True, ID_POLICY)
row("good", "keys", "weak-secret-opted-in", token("HS256", b"hunter2"), {"secret_b64u": b64u(b"hunter2")}, ["HS256"], True, ID_POLICY, danger_allow_weak_keys=True)
row("good", "keys", "weak-rsa-opted-in", token("RS256", RSA1024), {"jwk": RSA1024.jwk()}, ["RS256"], True, ID_POLICY, danger_allow_weak_keys=True)
row("good", "keys", "jwk-with-leading-zero-in-n", token("RS256", RSA2048), {"jwk": {**RSA2048.jwk(), "n": b64u(b"\0" + RSA2048.n.to_bytes(256, "big"))}}, ["RS256"], True)
row("good", "keys", "null-where-optional", token("RS256", RSA2048), {"jwk": RSA2048.jwk(use=None, alg=None, key_ops=None, kid=None)}, ["RS256"], True)
for alg, key in [("ES256", P256_ZERO), ("ES384", P384_ZERO), ("ES512", P521)]:
    x, y = (key.jwk()[name] for name in "xy")
    bare = lambda text: b64u(b64u_decode(text).lstrip(b"\0"))
    padded = lambda text: b64u(b"\0" + b64u_decode(text))
    row("good", "keys", f"coordinate-without-leading-zeros-{alg}", token(alg, key), {"jwk": {**key.jwk(), "x": bare(x), "y": bare(y)}}, [alg], True)
    row("good", "keys", f"coordinate-with-one-zero-more-{alg}", token(alg, key), {"jwk": {**key.jwk(), "x": padded(x), "y": padded(y)}}, [alg], True)
for key_alg, token_alg in [("EdDSA", "Ed25519"), ("Ed25519", "EdDSA")]:
    row("good", "keys", f"{key_alg}-key-and-{token_alg}-token", token(token_alg, ED), {"jwk": ED.jwk(alg=key_alg)}, ["EdDSA", "Ed25519"], True)
body = "".join(public_pem(RSA2048).splitlines()[1:-1])
block = lambda lines: "-----BEGIN PUBLIC KEY-----" + lines + "-----END PUBLIC KEY-----"
wrapped = lambda width, indent="": "\n" + "".join(f"{indent}{body[at:at + width]}\n" for at in range(0, len(body), width))
for name, lines in [("76-columns", wrapped(76)), ("48-columns", wrapped(48)), ("one-line", body), ("blank-line", "\n" + wrapped(64)), ("indented", wrapped(64, "    ")), ("trailing-blanks", wrapped(64).replace("\n", " \n"))]:
    row("good", "pem layout", name, token("RS256", RSA2048), {"pem": block(lines)}, ["RS256"], True)

# --- attacks ------------------------------------------------------------------------------------

unsigned = lambda alg: signing_input({"alg": alg}, ID) + "."
for spelling in ["none", "None", "nOnE", "NONE", ""]:
    attack("none", f"alg-{spelling or 'empty'}-without-signature", unsigned(spelling), "jws.no_signature")
    attack("none", f"alg-{spelling or 'empty'}-with-signature", hs(header={"alg": spelling}), "algorithm.not_allowed")
attack("none", "alg-absent", hs(header={"typ": "JWT"}), "header.no_alg")
attack("none", "alg-null", hs(header={"alg": None}), "header.type")
attack("none", "alg-number", hs(header={"alg": 256}), "header.type")
attack("none", "alg-array", hs(header={"alg": ["HS256"]}), "header.type")
attack("none", "signature-removed", hs().rsplit(".", 1)[0] + ".", "jws.no_signature")
attack("none", "alg-lower-case", hs(header={"alg": "hs256"}), "algorithm.not_allowed")
attack("none", "alg-with-space", hs(header={"alg": "HS256 "}), "algorithm.not_allowed")
for alg in ["none", "", "HS256"]:
    attack("none", f"no-key-known-{alg or 'empty'}", unsigned(alg), "jws.no_signature", {"jwks": {"keys": []}})
    attack("none", f"no-key-known-signed-{alg or 'empty'}", hs(header={"alg": alg}), "key.none_fits" if alg == "HS256" else "algorithm.not_allowed", {"jwks": {"keys": []}})
attack("none", "build-none", hs(), "build.unknown_algorithm", algorithms=["none"])
attack("none", "build-nothing", hs(), "build.no_algorithm", algorithms=[])

spki = public_pem(RSA2048)
der = RSA2048.private().public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
texts = [("pem", spki.encode()), ("pem-without-newline", spki.strip().encode()), ("pkcs1-pem", public_pem(RSA2048, "PKCS1").encode()),
         ("der", der), ("jwk-text", compact(RSA2048.jwk())), ("modulus", RSA2048.n.to_bytes(256, "big"))]
for name, text in texts:
    forged = token("HS256", text)
    attack("confusion", f"rsa-{name}-as-secret", forged, "key.none_fits", {"jwk": RSA2048.jwk()}, ["RS256", "HS256"])
    attack("confusion", f"rsa-{name}-as-secret-not-allowed", forged, "algorithm.not_allowed", {"jwk": RSA2048.jwk()}, ["RS256"])
    attack("confusion", f"rsa-{name}-as-secret-pem-key", forged, "key.none_fits", {"pem": spki}, ["RS256", "HS256"])
for name, text in [t for t in texts if t[0] not in ("der", "modulus")]:
    attack("confusion", f"{name}-configured-as-secret", token("HS256", text), "key.invalid", {"secret_b64u": b64u(text)}, ["HS256"])
attack("confusion", "ec-x-as-secret", token("HS256", P256.key.public_key().public_numbers().x.to_bytes(32, "big")), "key.none_fits", {"jwk": P256.jwk()}, ["ES256", "HS256"])
attack("confusion", "ed25519-x-as-secret", token("HS256", ED.public()), "key.none_fits", {"jwk": ED.jwk()}, ["EdDSA", "HS256"])
attack("confusion", "es256-header-rsa-key", token("ES256", P256), "key.none_fits", {"jwk": RSA2048.jwk()}, ["RS256", "ES256"])
attack("confusion", "rs256-signature-called-ps256", with_signature({"alg": "PS256"}, ID, lambda m: pkcs1(RSA2048, "sha256", m)), "signature.invalid", {"jwk": RSA2048.jwk()}, ["RS256", "PS256"])
attack("confusion", "ps256-signature-called-rs256", with_signature({"alg": "RS256"}, ID, lambda m: pss(RSA2048, "sha256", m)), "signature.invalid", {"jwk": RSA2048.jwk()}, ["RS256", "PS256"])
attack("confusion", "key-tied-to-another-algorithm", token("PS256", RSA2048), "key.wrong_algorithm", {"jwk": RSA2048.jwk(alg="RS256")}, ["RS256", "PS256"])

attack("allow-list", "rs512-where-rs256", token("RS512", RSA2048), "algorithm.not_allowed", {"jwk": RSA2048.jwk()}, ["RS256"])
attack("allow-list", "hs256-where-rs256", hs(), "algorithm.not_allowed", SECRET_KEY, ["RS256"])
attack("allow-list", "before-key-look-up", token("RS512", RSA2048), "algorithm.not_allowed", {"jwks": {"keys": []}}, ["RS256"])

for name, header in [("jwk", {"jwk": RSA2048_B.jwk()}), ("x5c", {"x5c": [base64.b64encode(der).decode()]}), ("jku", {"jku": "https://evil.example/jwks"}),
                     ("x5u", {"x5u": "https://evil.example/x5u"}), ("jku-file", {"jku": "file:///etc/passwd"}), ("x5t", {"x5t": "dGhpcyBpcyBhIFNIQTEgdGVz"})]:
    attack("embedded keys", f"{name}-of-the-forger", token("RS256", RSA2048_B, header={"alg": "RS256", **header}), "signature.invalid", {"jwk": RSA2048.jwk()}, ["RS256"])
attack("embedded keys", "jwk-is-not-read-in-a-good-token", token("RS256", RSA2048, header={"alg": "RS256", "jwk": {"kty": "broken"}, "jku": 7}), True, {"jwk": RSA2048.jwk()}, ["RS256"])
attack("embedded keys", "jwk-where-no-key-is-known", token("RS256", RSA2048_B, header={"alg": "RS256", "jwk": RSA2048_B.jwk()}), "key.none_fits", {"jwks": {"keys": []}}, ["RS256"])

named = {"jwks": {"keys": [RSA2048.jwk(kid="k1")]}}
for name, kid in [("path", "../../../../dev/null"), ("sql", "k1' UNION SELECT 'secret' --"), ("nul", "k1\0"), ("empty", ""), ("case", "K1"),
                  ("space", "k1 "), ("command", "k1|id"), ("10k", "k" * 10000), ("look-alike", "\u043a1")]:
    attack("kid", name, token("RS256", RSA2048, header={"alg": "RS256", "kid": kid}), "key.unknown_kid", named, ["RS256"])
for name, kid in [("number", 1), ("null", None), ("object", {"k1": 1}), ("array", ["k1"]), ("true", True)]:
    attack("kid", name, token("RS256", RSA2048, header={"alg": "RS256", "kid": kid}), "header.type", named, ["RS256"])
both = {"jwks": {"keys": [RSA2048.jwk(kid="k"), P256.jwk(kid="k"), {"kty": "oct", "kid": "k", "k": b64u(SECRET)}]}}
for alg, key in [("RS256", RSA2048), ("ES256", P256), ("HS256", SECRET)]:
    attack("kid", f"one-kid-for-several-families-{alg}", token(alg, key, header={"alg": alg, "kid": "k"}), True, both, ["RS256", "ES256", "HS256"])
attack("kid", "of-the-other-key", token("RS256", RSA2048, header={"alg": "RS256", "kid": "b"}), "signature.invalid", {"jwks": {"keys": [RSA2048.jwk(kid="a"), RSA2048_B.jwk(kid="b")]}}, ["RS256"])

for name, header in [("empty", {"crit": []}), ("unknown", {"crit": ["x"], "x": 1}), ("absent-member", {"crit": ["x"]}), ("duplicated", {"crit": ["x", "x"], "x": 1}),
                     ("registered", {"crit": ["alg"]}), ("string", {"crit": "x", "x": 1}), ("null", {"crit": None}), ("object", {"crit": {}}),
                     ("number-inside", {"crit": [1]}), ("exp", {"crit": ["exp"], "exp": NOW + 1}), ("b64-absent", {"crit": ["b64"]}),
                     ("b64-twice", {"crit": ["b64", "b64"], "b64": True})]:
    attack("crit", name, hs(header={"alg": "HS256", **header}), "header.crit")
attack("crit", "b64-true", hs(header={"alg": "HS256", "b64": True, "crit": ["b64"]}), True)
attack("crit", "b64-false", hs(header={"alg": "HS256", "b64": False, "crit": ["b64"]}), "header.b64")
attack("crit", "b64-false-not-critical", hs(header={"alg": "HS256", "b64": False}), "header.b64")
attack("crit", "b64-text", hs(header={"alg": "HS256", "b64": "false"}), "header.b64")

good = hs()
head, body, tail = good.split(".")
for name, text in [("empty", ""), ("one-segment", head), ("two-segments", head + "." + body), ("four-segments", good + "." + tail), ("jwe-five-segments", good + ".AA.AA"),
                   ("json-serialization", json.dumps({"payload": body, "protected": head, "signature": tail})), ("leading-dot", "." + good), ("trailing-dot", good + ".")]:
    attack("shape", name, text, "jws.shape")
alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
respelled = tail[:-1] + alphabet[alphabet.index(tail[-1]) + 1]
for name, text in [("leading-space", " " + good), ("trailing-space", good + " "), ("trailing-newline", good + "\n"), ("crlf", good + "\r\n"), ("tab", "\t" + good),
                   ("padding", good + "="), ("padding-header", head + "==." + body + "." + tail), ("plus", head + "." + body + ".+" + tail[1:]),
                   ("slash", head + "." + body + "./" + tail[1:]), ("non-canonical-last-bits", head + "." + body + "." + respelled), ("nul", good + "\0"),
                   ("non-ascii", head + "." + body + ".\u00e9" + tail[1:]), ("full-width-dot", head + "\uff0e" + "." + body + "." + tail), ("newline-inside", head + "." + body[:8] + "\n" + body[8:] + "." + tail),
                   ("bearer", "Bearer " + good), ("impossible-length", head + "." + body + "." + tail + "AA"), ("quoted", '"' + good + '"'), ("bom", "\ufeff" + good)]:
    attack("shape", name, text, "jws.base64url")
attack("shape", "empty-header", "." + body + "." + tail, "header.json")
attack("shape", "empty-payload", with_signature({"alg": "HS256"}, b"", lambda m: sign("HS256", SECRET, m)), "claims.json", policy=JWT_POLICY)
attack("shape", "dots-only", "..", "jws.no_signature")

e = str(NOW + 9).encode()
for name, text in [("duplicate", b'{"exp":%s,"exp":1}' % e), ("duplicate-by-escape", b'{"exp":%s,"\\u0065xp":1}' % e), ("duplicate-deep", b'{"exp":%s,"a":[{"b":1,"b":1}]}' % e), ("duplicate-deep-by-escape", b'{"exp":%s,"a":[{"b":{"c":1,"\\u0063":1}}]}' % e),
                   ("trailing-bytes", b'{"exp":%s}x' % e), ("two-objects", b'{"exp":%s}{}' % e), ("bom", b'\xef\xbb\xbf{"exp":%s}' % e), ("lone-surrogate", b'{"exp":%s,"a":"\\ud800"}' % e),
                   ("array", b"[]"), ("string", b'"x"'), ("number", b"1"), ("null", b"null"), ("nan", b'{"exp":NaN}'), ("infinity", b'{"exp":Infinity}'), ("comment", b'{/**/"exp":%s}' % e),
                   ("single-quotes", b"{'exp':%s}" % e), ("trailing-comma", b'{"exp":%s,}' % e), ("invalid-utf-8", b'{"exp":%s,"a":"\xff"}' % e), ("utf-16", '{"exp":1}'.encode("utf-16-le")),
                   ("control-character", b'{"exp":%s,"a":"\n"}' % e), ("depth-10000", b'{"a":' + b"[" * 10000 + b"]" * 10000 + b"}"), ("nul-after", b'{"exp":%s}\0' % e),
                   ("leading-zero", b'{"exp":0%s}' % e), ("plus", b'{"exp":+%s}' % e), ("hex", b'{"exp":0xff}'), ("overflow", b'{"exp":1e400}'), ("unfinished", b'{"exp":%s' % e)]:
    attack("JSON", f"claims-{name}", hs(text), "claims.json", policy=JWT_POLICY)
for name, text in [("duplicate-alg", b'{"alg":"HS256","alg":"none"}'), ("duplicate-by-escape", b'{"alg":"HS256","\\u0061lg":"HS256"}'), ("duplicate-kid", b'{"kid":"a","alg":"HS256","kid":"b"}'),
                   ("duplicate-deep", b'{"alg":"HS256","x":{"a":1,"a":1}}'), ("duplicate-deep-by-escape", b'{"alg":"HS256","x":[{"a":1,"\\u0061":1}]}'), ("trailing-bytes", b'{"alg":"HS256"} x'), ("bom", b'\xef\xbb\xbf{"alg":"HS256"}'), ("array", b'["alg","HS256"]'),
                   ("depth-2000", b'{"alg":"HS256","a":' + b"[" * 2000 + b"]" * 2000 + b"}"), ("invalid-utf-8", b'{"alg":"HS256","kid":"\xc0\x80"}'), ("comment", b'{"alg":"HS256"}//')]:
    attack("JSON", f"header-{name}", hs(header=text), "header.json")

for claim in ["exp", "nbf", "iat"]:
    for name, value in [("text", b'"1"'), ("negative", b"-1"), ("beyond-2-53", b"9007199254740993"), ("two-to-64", b"18446744073709551616"), ("i64-max", b"9223372036854775807"),
                        ("1e300", b"1e300"), ("true", b"true"), ("null", b"null"), ("array", b"[]"), ("object", b"{}"), ("negative-fraction", b"-0.5"), ("array-of-one", b"[1]")]:
        rest = b"" if claim == "exp" else b',"exp":' + e
        attack("numbers", f"{claim}-{name}", hs(b'{"%s":%s%s}' % (claim.encode(), value, rest)), "claims.type", policy=JWT_POLICY)
attack("numbers", "exp-1e400", hs(b'{"exp":1e400}'), "claims.json", policy=JWT_POLICY)
attack("numbers", "exp-fraction-still-valid", hs(b'{"exp":%d.5}' % NOW), True, policy={**JWT_POLICY, "leeway": 0})
attack("numbers", "exp-fraction-in-the-past", hs(b'{"exp":1.5}'), "claims.expired", policy=JWT_POLICY)
attack("numbers", "exp-2-53-accepted", hs(b'{"exp":9007199254740992}'), True, policy=JWT_POLICY)
attack("numbers", "leeway-at-its-end", hs(b'{"exp":1}'), True, policy={**JWT_POLICY, "danger_leeway": 2**64 - 1})

for claim, values in {"aud": [[], [1], "", {}, None, ["crm", 1], [["crm"]], [""], True], "iss": [[ISSUER], 1, None, {}, False], "sub": [1, None, ["a"], {}], "jti": [1, None, []]}.items():
    for index, value in enumerate(values):
        attack("claims types", f"{claim}-{index}", hs({**ID, claim: value}), "claims.type", policy=JWT_POLICY)
attack("claims types", "nonce-number", hs({**ID, "nonce": 1}), "claims.type", policy={**ID_POLICY, "nonce": "1"})
attack("claims types", "azp-array", hs({**ID, "azp": ["crm"]}), "claims.type", policy=ID_POLICY)
attack("claims types", "required-null", hs({**ID, "email": None}), "claims.missing", policy={**JWT_POLICY, "require": ["email"]})
attack("claims types", "required-empty-text", hs({**ID, "email": ""}), "claims.empty", policy={**JWT_POLICY, "require": ["email"]})
attack("claims types", "required-empty-array", hs({**ID, "groups": []}), "claims.empty", policy={**JWT_POLICY, "require": ["groups"]})

without = lambda *names: {k: v for k, v in ID.items() if k not in names}
strict = {**ID_POLICY, "leeway": 0}
for name, payload, expect, policy in [
    ("exp-absent", {}, "claims.missing", JWT_POLICY), ("exp-absent-id-token", without("exp"), "claims.missing", {**ID_POLICY, "require": []}),
    ("expired", {**ID, "exp": NOW - 61}, "claims.expired", ID_POLICY), ("exp-at-the-boundary", {**ID, "exp": NOW - 60}, "claims.expired", ID_POLICY), ("exp-one-before", {**ID, "exp": NOW - 59}, True, ID_POLICY),
    ("exp-now", {**ID, "exp": NOW}, "claims.expired", strict), ("exp-next-second", {**ID, "exp": NOW + 1}, True, strict),
    ("nbf-future", {**ID, "nbf": NOW + 61}, "claims.not_yet_valid", ID_POLICY), ("nbf-at-the-boundary", {**ID, "nbf": NOW + 60}, True, ID_POLICY), ("nbf-now", {**ID, "nbf": NOW}, True, strict), ("nbf-next-second", {**ID, "nbf": NOW + 1}, "claims.not_yet_valid", strict),
    ("iat-future", {**ID, "iat": NOW + 61}, "claims.issued_in_future", ID_POLICY), ("iat-at-the-boundary", {**ID, "iat": NOW + 60}, True, ID_POLICY),
    ("too-old", {**ID, "iat": NOW - 361}, "claims.too_old", {**ID_POLICY, "max_token_age": 300}), ("age-at-the-boundary", {**ID, "iat": NOW - 360}, True, {**ID_POLICY, "max_token_age": 300}),
    ("max-age-without-iat", {"exp": NOW + 1}, "claims.missing", {**JWT_POLICY, "max_token_age": 300}),
    ("now-i64-max", ID, "claims.expired", {**ID_POLICY, "now": 2**63 - 1}), ("now-i64-min", ID, "claims.issued_in_future", {**ID_POLICY, "now": -(2**63)}),
]:
    attack("time", name, hs(payload), expect, policy=policy)

for name, issuer in [("as-prefix", ISSUER + ".evil.example"), ("path-added", ISSUER + "/"), ("case", "https://IDP.example.com"), ("scheme-case", "HTTPS://idp.example.com"), ("userinfo", "https://idp.example.com@evil.example"),
                     ("look-alike", "https://\u0456dp.example.com"), ("http", "http://idp.example.com"), ("port", ISSUER + ":443"), ("space", ISSUER + " "), ("empty", ""), ("fragment", ISSUER + "#"), ("nul", ISSUER + "\0"), ("shortened", ISSUER[:-1])]:
    attack("prefix tricks", f"iss-{name}", hs({**ID, "iss": issuer}), "claims.empty" if issuer == "" else "claims.issuer", policy=ID_POLICY)
for name, audience in [("as-prefix", "crm2"), ("case", "CRM"), ("space", "crm "), ("joined", "crm billing"), ("other", ["a", "b"]), ("look-alike", "\u0441rm")]:
    attack("prefix tricks", f"aud-{name}", hs({**ID, "aud": audience}), "claims.audience", policy=ID_POLICY)
attack("prefix tricks", "sub-case", hs({**ID, "sub": "ALICE"}), "claims.subject", policy={**ID_POLICY, "subject": "alice"})
attack("prefix tricks", "jti-longer", hs({**ID, "jti": "ab"}), "claims.jti", policy={**ID_POLICY, "jti": "a"})
attack("prefix tricks", "nonce-longer", hs({**ID, "nonce": "ab"}), "claims.nonce", policy={**ID_POLICY, "nonce": "a"})
attack("prefix tricks", "nonce-absent", hs(), "claims.missing", policy={**ID_POLICY, "nonce": "a"})
attack("prefix tricks", "azp-other", hs({**ID, "azp": "other"}), "claims.azp", policy=ID_POLICY)
attack("prefix tricks", "azp-absent-beside-several-audiences", hs({**ID, "aud": ["crm", "x"]}), "claims.audience_untrusted", policy=ID_POLICY)
attack("prefix tricks", "azp-right-beside-an-untrusted-audience", hs({**ID, "aud": ["crm", "x"], "azp": "crm"}), "claims.audience_untrusted", policy=ID_POLICY)
attack("prefix tricks", "azp-of-a-trusted-audience", hs({**ID, "aud": ["crm", "x"], "azp": "x"}), "claims.azp", policy={**ID_POLICY, "trusted_audiences": ["x"]})
attack("prefix tricks", "audience-of-an-authorized-party", hs({**ID, "aud": ["crm", "app"]}), "claims.audience_untrusted", policy={**ID_POLICY, "authorized_parties": ["app"]})
attack("prefix tricks", "audience-trusted-alone", hs({**ID, "aud": ["x"]}), "claims.audience", policy={**ID_POLICY, "trusted_audiences": ["x"]})
attack("prefix tricks", "audience-trusted-by-prefix", hs({**ID, "aud": ["crm", "x1"]}), "claims.audience_untrusted", policy={**ID_POLICY, "trusted_audiences": ["x"]})
attack("prefix tricks", "audience-untrusted-in-a-logout-token", hs({**LOGOUT, "aud": ["crm", "x"]}), "claims.audience_untrusted", policy=LOGOUT_POLICY)

typ = lambda value: {"alg": "HS256", "typ": value}
for name, payload, header, policy, expect in [
    ("id-token-as-logout-token", {**ID, "jti": "a"}, typ("JWT"), LOGOUT_POLICY, "claims.events"), ("id-token-as-access-token", ID, typ("JWT"), ACCESS_POLICY, "claims.typ"),
    ("id-token-without-typ-as-access-token", ID, {"alg": "HS256"}, ACCESS_POLICY, "claims.typ"), ("logout-token-as-id-token", LOGOUT, typ("logout+jwt"), ID_POLICY, "claims.typ"),
    ("logout-token-as-jwt", LOGOUT, typ("logout+jwt"), JWT_POLICY, "claims.typ"), ("plain-logout-token-as-jwt", LOGOUT, typ("JWT"), JWT_POLICY, "claims.typ"),
    ("logout-typ-without-event-as-jwt", ID, typ("logout+jwt"), JWT_POLICY, "claims.typ"), ("logout-without-exp", {k: v for k, v in LOGOUT.items() if k != "exp"}, typ("JWT"), {**LOGOUT_POLICY, "require": []}, "claims.missing"),

    ("plain-logout-token-as-id-token", LOGOUT, typ("JWT"), ID_POLICY, "claims.typ"), ("logout-token-as-access-token", LOGOUT, typ("logout+jwt"), ACCESS_POLICY, "claims.typ"),
    ("logout-token-with-typ-of-access-token", LOGOUT, typ("at+jwt"), ACCESS_POLICY, "claims.typ"), ("access-token-as-id-token", ID, typ("at+jwt"), ID_POLICY, "claims.typ"),
    ("access-token-by-full-media-type-as-id-token", ID, typ("application/at+jwt"), ID_POLICY, "claims.typ"), ("access-token-as-logout-token", LOGOUT, typ("AT+JWT"), LOGOUT_POLICY, "claims.typ"),
    ("other-typ", ID, typ("dpop+jwt"), ID_POLICY, "claims.typ"), ("empty-typ", ID, typ(""), ID_POLICY, "claims.typ"), ("typ-number", ID, typ(1), ID_POLICY, "header.type"), ("typ-null", ID, typ(None), ID_POLICY, "header.type"),
    ("wanted-typ-absent", ID, {"alg": "HS256"}, {**JWT_POLICY, "typ": "secevent+jwt"}, "claims.typ"), ("cty-number", ID, {"alg": "HS256", "cty": 1}, JWT_POLICY, "header.type"),
    ("logout-events-array", {**LOGOUT, "events": [EVENT]}, typ("JWT"), LOGOUT_POLICY, "claims.events"), ("logout-event-null", {**LOGOUT, "events": {EVENT: None}}, typ("JWT"), LOGOUT_POLICY, "claims.events"),
    ("logout-event-of-another-kind", {**LOGOUT, "events": {"http://schemas.example/event": {}}}, typ("JWT"), LOGOUT_POLICY, "claims.events"), ("logout-nonce", {**LOGOUT, "nonce": "n"}, typ("JWT"), LOGOUT_POLICY, "claims.nonce_present"),
    ("logout-nobody", {k: v for k, v in LOGOUT.items() if k != "sub"}, typ("JWT"), LOGOUT_POLICY, "claims.sub_or_sid"), ("logout-sid-number", {**LOGOUT, "sid": 1}, typ("JWT"), LOGOUT_POLICY, "claims.type"),
    ("logout-without-jti", {k: v for k, v in LOGOUT.items() if k != "jti"}, typ("JWT"), LOGOUT_POLICY, "claims.missing"), ("logout-empty-sub", {**LOGOUT, "sub": ""}, typ("JWT"), LOGOUT_POLICY, "claims.sub_or_sid"),
]:
    attack("typ", name, hs(payload, header), expect, policy=policy)

def rsa_key(name, expect, n=RSA2048.n, exponent=65537, **more):
    attack("keys", f"rsa-{name}", token("RS256", RSA2048), expect, {"jwk": {"kty": "RSA", "n": uint(n), "e": uint(exponent), **more}}, ["RS256"])
rsa_key("1024-bits", "key.weak", RSA1024.n)
rsa_key("2047-bits", "key.weak", RSA2048.n >> 1 | 1)
rsa_key("8200-bits", "key.invalid", int.from_bytes(stream("huge", 1025), "big") | (1 << 8199) | 1)
rsa_key("even-modulus", "key.invalid", RSA2048.n - 1)
for name, exponent in [("1", 1), ("even", 65536), ("over-33-bits", 2**33 + 1), ("2", 2)]:
    rsa_key(f"exponent-{name}", "key.invalid", exponent=exponent)
attack("keys", "rsa-exponent-zero", token("RS256", RSA2048), "key.member", {"jwk": {**RSA2048.jwk(), "e": "AA"}}, ["RS256"])
attack("keys", "rsa-modulus-not-base64url", token("RS256", RSA2048), "key.member", {"jwk": {**RSA2048.jwk(), "n": RSA2048.jwk()["n"] + "="}}, ["RS256"])
for alg, length in [("HS256", 31), ("HS384", 47), ("HS512", 63)]:
    attack("keys", f"secret-short-{alg}", token(alg, SECRET[:length]), "key.weak", {"secret_b64u": b64u(SECRET[:length])}, [alg])
    attack("keys", f"secret-just-long-enough-{alg}", token(alg, SECRET[: length + 1]), True, {"secret_b64u": b64u(SECRET[: length + 1])}, [alg])
attack("keys", "secret-empty", token("HS256", b""), "key.weak", {"secret_b64u": ""})
attack("keys", "secret-empty-opted-in", token("HS256", b""), "key.weak", {"secret_b64u": ""}, danger_allow_weak_keys=True)
attack("keys", "rsa-512-bits-opted-in", token("RS256", RSA2048), "key.weak", {"jwk": {"kty": "RSA", "n": uint(int.from_bytes(stream("tiny", 64), "big") | (1 << 511) | 1), "e": "AQAB"}}, ["RS256"], danger_allow_weak_keys=True)
for name, more, expect in [("use-enc", {"use": "enc"}, "key.wrong_use"), ("key-ops-sign", {"key_ops": ["sign"]}, "key.wrong_use"), ("key-ops-empty", {"key_ops": []}, "key.wrong_use"),
                           ("alg-other", {"alg": "RS512"}, "key.wrong_algorithm"), ("alg-encryption", {"alg": "RSA-OAEP"}, "key.wrong_algorithm"), ("use-number", {"use": 1}, "key.member"), ("key-ops-text", {"key_ops": "verify"}, "key.member")]:
    attack("keys", name, token("RS256", RSA2048), expect, {"jwk": RSA2048.jwk(**more)}, ["RS256"])
off = lambda key: {**key.jwk(), "y": b64u(bytes(key.size - 1) + b"\x07")}
for alg, key in [("ES256", P256), ("ES384", P384), ("ES512", P521)]:
    attack("keys", f"point-off-the-curve-{alg}", token(alg, key), "key.invalid", {"jwk": off(key)}, [alg])
    attack("keys", f"coordinate-short-{alg}", token(alg, key), "key.invalid", {"jwk": {**key.jwk(), "x": b64u(stream("x", key.size - 1))}}, [alg])
    attack("keys", f"coordinate-long-{alg}", token(alg, key), "key.invalid", {"jwk": {**key.jwk(), "x": b64u(b"\1" + b64u_decode(key.jwk()["x"]))}}, [alg])
    attack("keys", f"coordinate-empty-{alg}", token(alg, key), "key.member", {"jwk": {**key.jwk(), "x": ""}}, [alg])
    attack("keys", f"point-zero-{alg}", token(alg, key), "key.invalid", {"jwk": {**key.jwk(), "x": b64u(bytes(key.size)), "y": b64u(bytes(key.size))}}, [alg])
attack("keys", "wrong-curve", token("ES256", P256), "key.none_fits", {"jwk": P384.jwk()}, ["ES256"])
attack("keys", "ed25519-short", token("EdDSA", ED), "key.invalid", {"jwk": {**ED.jwk(), "x": b64u(ED.public()[:31])}}, ["EdDSA"])
SMALL_ORDER = ["0100000000000000000000000000000000000000000000000000000000000000", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "0000000000000000000000000000000000000000000000000000000000000000",
               "0000000000000000000000000000000000000000000000000000000000000080", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"]
for index, point in enumerate(SMALL_ORDER):
    attack("keys", f"ed25519-small-order-{index}", token("EdDSA", ED), "key.invalid", {"jwk": {**ED.jwk(), "x": b64u(bytes.fromhex(point))}}, ["EdDSA"])
attack("keys", "private-pem", token("RS256", RSA2048), "key.private", {"pem": "-----BEGIN PRIVATE " + "KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE " + "KEY-----\n"}, ["RS256"])
attack("keys", "pem-without-a-block", token("RS256", RSA2048), "key.pem", {"pem": "hello"}, ["RS256"])

def padding(name, block=None, signature=None, key=RSA2048):
    def make(message):
        digest = hashlib.sha256(message).digest()
        return key.raw(block(message, digest)) if block else signature(pkcs1(key, "sha256", message))
    attack("RSA padding", name, with_signature({"alg": "RS256"}, ID, make), "signature.invalid", {"jwk": key.jwk()}, ["RS256"])
D = DIGEST_INFO["sha256"]
padding("leading-zero-byte", signature=lambda s: b"\0" + s)
padding("last-byte-missing", signature=lambda s: s[:-1])
padding("first-byte-missing", signature=lambda s: s[1:])
padding("byte-appended", signature=lambda s: s + b"\0")
padding("plus-modulus", signature=lambda s: (int.from_bytes(s, "big") + RSA2048.n).to_bytes(257, "big"))
padding("signature-is-modulus", signature=lambda s: RSA2048.n.to_bytes(256, "big"))
padding("signature-all-ones", signature=lambda s: b"\xff" * 256)
padding("signature-zero", signature=lambda s: bytes(256))
padding("signature-one", signature=lambda s: bytes(255) + b"\1")
padding("negated", signature=lambda s: (RSA2048.n - int.from_bytes(s, "big")).to_bytes(256, "big"))
padding("sha1", lambda m, d: pkcs1_block(256, DIGEST_INFO["sha1"] + hashlib.sha1(m).digest()))
padding("sha512", lambda m, d: pkcs1_block(256, DIGEST_INFO["sha512"] + hashlib.sha512(m).digest()))
padding("oid-of-sha384", lambda m, d: pkcs1_block(256, D.replace(bytes.fromhex("03040201"), bytes.fromhex("03040202")) + d))
padding("missing-null", lambda m, d: pkcs1_block(256, bytes.fromhex("302f300b0609608648016503040201") + b"\x04\x20" + d))
padding("no-digest-info", lambda m, d: pkcs1_block(256, d))
padding("garbage-after", lambda m, d: (lambda t: b"\0\1" + b"\xff" * 8 + b"\0" + t + stream("garbage", 256 - 11 - len(t)))(D + d))
padding("garbage-inside-the-sequence", lambda m, d: (lambda t: pkcs1_block(256, t))(b"\x30\x35" + D[2:] + d + b"\x04\x02ab"))
padding("garbage-in-the-parameters", lambda m, d: pkcs1_block(256, bytes.fromhex("3035301106096086480165030402010404deadbeef") + b"\x04\x20" + d))
padding("long-form-length", lambda m, d: pkcs1_block(256, b"\x30\x81\x31" + D[2:] + d))
padding("indefinite-length", lambda m, d: pkcs1_block(256, b"\x30\x80" + D[2:] + d + b"\0\0"))
padding("short-padding", lambda m, d: b"\0\1" + b"\xff" * 7 + b"\0" + D + d + bytes(256 - 10 - len(D + d)))
padding("padding-with-other-bytes", lambda m, d: pkcs1_block(256, D + d).replace(b"\xff\xff\0", b"\xff\xfe\0"))
padding("padding-of-zeros", lambda m, d: b"\0\1" + bytes(254 - len(D + d)) + D + d)
padding("block-type-0", lambda m, d: b"\0\0" + pkcs1_block(256, D + d)[2:])
padding("block-type-2", lambda m, d: b"\0\2" + pkcs1_block(256, D + d)[2:])
padding("separator-not-zero", lambda m, d: pkcs1_block(256, D + d).replace(b"\xff\0" + D, b"\xff\1" + D))
padding("other-message", lambda m, d: pkcs1_block(256, D + hashlib.sha256(m + b"x").digest()))
def cube_root_forgery(padding_bytes):
    """A signature for e = 3 without the private key: a cube whose first bytes are a padded digest."""
    def make(message):
        start = b"\0\1" + b"\xff" * padding_bytes + b"\0" + D + hashlib.sha256(message).digest()
        block = int.from_bytes(start + b"\xff" * (256 - len(start)), "big")
        low, high = 0, 1 << 700
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**3 <= block else (low, middle - 1)
        assert (low**3).to_bytes(256, "big").startswith(start)
        return low.to_bytes(256, "big")
    return make
for count in [1, 8]:
    attack("RSA padding", f"bleichenbacher-2006-cube-root-{count}", with_signature({"alg": "RS256"}, ID, cube_root_forgery(count)), "signature.invalid", {"jwk": {**RSA2048.jwk(), "e": "Aw"}}, ["RS256"])
for name, length, trailer in [("empty-salt", 0, b"\xbc"), ("salt-too-short", 31, b"\xbc"), ("salt-too-long", 33, b"\xbc"), ("wrong-trailer", 32, b"\xbd"), ("trailer-of-x9.31", 32, b"\xcc")]:
    attack("RSA padding", f"pss-{name}", with_signature({"alg": "PS256"}, ID, lambda m: pss(RSA2048, "sha256", m, length, trailer)), "signature.invalid", {"jwk": RSA2048.jwk()}, ["PS256"])

ORDERS = {"P-256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
          "P-384": (2**192 - 1) << 192 | 0xC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
          "P-521": (2**265 - 6) << 256 | 0x51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409}
for alg, key in [("ES256", P256), ("ES384", P384), ("ES512", P521)]:
    z, n = bytes(key.size), ORDERS[key.curve].to_bytes(key.size, "big")
    for name, make in [("zero", lambda m: z + z), ("r-zero", lambda m: z + key.sign(m)[key.size:]), ("s-zero", lambda m: key.sign(m)[: key.size] + z), ("r-is-n", lambda m: n + key.sign(m)[key.size:]),
                       ("s-is-n", lambda m: key.sign(m)[: key.size] + n), ("both-n", lambda m: n + n), ("der", key.der), ("byte-missing", lambda m: key.sign(m)[:-1]), ("byte-appended", lambda m: key.sign(m) + b"\0"),
                       ("byte-in-front", lambda m: b"\0" + key.sign(m)), ("swapped", lambda m: key.sign(m)[key.size:] + key.sign(m)[: key.size]), ("halves-padded", lambda m: b"\0" + key.sign(m)[: key.size] + b"\0" + key.sign(m)[key.size:]),
                       ("r-is-one", lambda m: z[:-1] + b"\1" + z[:-1] + b"\1"), ("all-ones", lambda m: b"\xff" * 2 * key.size)]:
        attack("ECDSA / EdDSA", f"{alg}-{name}", with_signature({"alg": alg}, ID, make), "signature.invalid", {"jwk": key.jwk()}, [alg])
attack("ECDSA / EdDSA", "ES256-other-key", token("ES256", P256_B), "signature.invalid", {"jwk": P256.jwk()}, ["ES256"])
L = 2**252 + 27742317777372353535851937790883648493
plus_l = lambda m: (lambda s: s[:32] + (int.from_bytes(s[32:], "little") + L).to_bytes(32, "little"))(ED.sign(m))
for name, make in [("s-plus-L", plus_l), ("zero", lambda m: bytes(64)), ("r-of-small-order", lambda m: bytes.fromhex(SMALL_ORDER[0]) + bytes(32)), ("byte-missing", lambda m: ED.sign(m)[:-1]), ("byte-appended", lambda m: ED.sign(m) + b"\0"),
                   ("s-all-ones", lambda m: ED.sign(m)[:32] + b"\xff" * 32), ("other-key", ED_B.sign)]:
    attack("ECDSA / EdDSA", f"EdDSA-{name}", with_signature({"alg": "EdDSA"}, ID, make), "signature.invalid", {"jwk": ED.jwk()}, ["EdDSA"])

attack("size", "header-over-16-KiB", hs(header={"alg": "HS256", "kid": "k" * 13000}), "jws.header_too_long")
attack("time of check", "last-bit-of-the-mac", with_signature({"alg": "HS256"}, ID, lambda m: (lambda s: s[:-1] + bytes([s[-1] ^ 1]))(sign("HS256", SECRET, m))), "signature.invalid")
attack("time of check", "first-bit-of-the-mac", with_signature({"alg": "HS256"}, ID, lambda m: (lambda s: bytes([s[0] ^ 128]) + s[1:])(sign("HS256", SECRET, m))), "signature.invalid")
attack("time of check", "mac-cut-in-half", with_signature({"alg": "HS256"}, ID, lambda m: sign("HS256", SECRET, m)[:16]), "signature.invalid")
attack("time of check", "policy-after-signature", token("HS256", SECRET[::-1], {"exp": 1}), "signature.invalid", policy=JWT_POLICY)

# --- published values -----------------------------------------------------------------------------

def rfc(name, text, jwk, alg, policy=None):
    row("rfc", name.split(" ")[0], name.replace(" ", "-"), text, {"jwk": jwk}, [alg], True, policy, comment=name)
JOE = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
JOE_POLICY = {"kind": "jwt", "issuer": ["joe"], "now": 1300819000}
rfc("RFC7515 A.1", "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + JOE + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}, "HS256", JOE_POLICY)
A2_N = ("ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-"
        "bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ")
rfc("RFC7515 A.2", "eyJhbGciOiJSUzI1NiJ9." + JOE + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    {"kty": "RSA", "n": A2_N, "e": "AQAB"}, "RS256", JOE_POLICY)
rfc("RFC7515 A.3", "eyJhbGciOiJFUzI1NiJ9." + JOE + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}, "ES256", JOE_POLICY)
FRODO = ("SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4")
BILBO = {"kty": "RSA", "kid": "bilbo.baggins@hobbiton.example", "use": "sig", "e": "AQAB",
         "n": "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw"}
rfc("RFC7520 4.1", "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." + FRODO + ".MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg", BILBO, "RS256")
rfc("RFC7520 4.2", "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." + FRODO + ".cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw", BILBO, "PS384")
rfc("RFC7520 4.3", "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9." + FRODO + ".AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2",
    {"kty": "EC", "kid": "bilbo.baggins@hobbiton.example", "use": "sig", "crv": "P-521", "x": "AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt", "y": "AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1"}, "ES512")
rfc("RFC7520 4.4", "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9." + FRODO + ".s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
    {"kty": "oct", "kid": "018c0ae5-4d9b-471b-bfd6-eef314bc7037", "use": "sig", "alg": "HS256", "k": "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"}, "HS256")
rfc("RFC8037 A.4", "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}, "EdDSA")

# --- keys in PEM, and the demonstration -------------------------------------------------------------

(HERE / "keys").mkdir(exist_ok=True)
for name, key in [("rsa", RSA2048), ("p256", P256), ("p384", P384), ("p521", P521), ("ed25519", ED)]:
    (HERE / "keys" / f"{name}.spki.pem").write_text(public_pem(key))
(HERE / "keys" / "rsa.pkcs1.pem").write_text(public_pem(RSA2048, "PKCS1"))
for name, key in [("rsa", RSA2048), ("ed25519", ED)]:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp.example.com")])
    day = lambda year: datetime.datetime(year, 1, 1, tzinfo=datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.private().public_key()).serial_number(1).not_valid_before(day(2020)).not_valid_after(day(2021))
    certificate = builder.sign(key.private(), hashes.SHA256() if name == "rsa" else None)
    (HERE / "keys" / f"{name}.cert.pem").write_text(certificate.public_bytes(serialization.Encoding.PEM).decode())

(HERE / "demo").mkdir(exist_ok=True)
DEMO = {"exp": 2089756800, "iat": 1795437000, "auth_time": 1795436990, "jti": "5f0e2b0c-6c1f-4a53-9f0f-8d3a8a1f4e11", "iss": "https://idp.example.com/realms/acme", "aud": "crm", "sub": "f:7d1c:1042", "typ": "ID", "azp": "crm",
        "sid": "0b9f6a4e", "email_verified": True, "name": "Alice Example", "preferred_username": "alice", "email": "alice@example.com", "realm_access": {"roles": ["crm-admin", "offline_access"]}, "groups": ["/sales/north", "/staff"]}
(HERE / "demo" / "jwks.json").write_text(json.dumps({"keys": [RSA2048.jwk(kid="acme-2026", use="sig", alg="RS256"), ED.jwk(kid="acme-next", use="sig", alg="EdDSA")]}, indent=2) + "\n")
demo = token("RS256", RSA2048, DEMO, {"alg": "RS256", "typ": "JWT", "kid": "acme-2026"})
(HERE / "demo" / "token.txt").write_text(demo + "\n")
row("good", "demo", "token", demo, {"jwks": json.loads((HERE / "demo" / "jwks.json").read_text())}, ["RS256"], True, {"kind": "id_token", "issuer": [DEMO["iss"]], "audience": ["crm"], "now": NOW})

# --- files ----------------------------------------------------------------------------------------

for file, rows in files.items():
    ids = [r["input"]["id"] for r in rows]
    assert len(ids) == len(set(ids)), [i for i in ids if ids.count(i) > 1]
    lines = "".join(json.dumps(r, ensure_ascii=True, separators=(",", ":")) + "\n" for r in rows)
    (HERE / f"{file}.jsonl").write_text(lines)
    print(f"{file}.jsonl: {len(rows)}")
