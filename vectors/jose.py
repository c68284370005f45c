"""Keys, signatures and rows for generate.py: everything is derived from a label, nothing is random."""

import base64
import datetime
import hashlib
import hmac
import json
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, utils
from cryptography.x509.oid import NameOID

HERE = pathlib.Path(__file__).resolve().parent
NOW = 1795478400  # 2026-11-24T00:00:00Z
ISSUER = "https://idp.example.com"
EVENT = "http://schemas.openid.net/event/backchannel-logout"


def b64u(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64u_decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def uint(number, length=None):
    return b64u(number.to_bytes(length or (number.bit_length() + 7) // 8, "big"))


def stream(label, length):
    return hashlib.shake_256(label.encode()).digest(length)


# --- keys ---------------------------------------------------------------------------------------

SMALL_PRIMES = [p for p in range(3, 2000, 2) if all(p % d for d in range(3, int(p**0.5) + 1, 2))]


def is_prime(n):
    if any(n % p == 0 for p in SMALL_PRIMES):
        return False
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for base in range(2, 26):
        x = pow(base, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime(label, bits):
    candidate = int.from_bytes(stream(label, bits // 8), "big") | (3 << (bits - 2)) | 1
    while not (is_prime(candidate) and (candidate - 1) % 65537):
        candidate += 2
    return candidate


class RsaKey:
    def __init__(self, label, bits):
        self.p, self.q = prime(label + " p", bits // 2), prime(label + " q", bits // 2)
        self.n, self.e = self.p * self.q, 65537
        self.d = pow(self.e, -1, (self.p - 1) * (self.q - 1))
        self.size = bits // 8

    def jwk(self, **more):
        return {"kty": "RSA", "n": uint(self.n), "e": uint(self.e), **more}

    def raw(self, block):
        return pow(int.from_bytes(block, "big"), self.d, self.n).to_bytes(self.size, "big")

    def private(self):
        dp, dq, qi = self.d % (self.p - 1), self.d % (self.q - 1), pow(self.q, -1, self.p)
        public = rsa.RSAPublicNumbers(self.e, self.n)
        return rsa.RSAPrivateNumbers(self.p, self.q, self.d, dp, dq, qi, public).private_key()


class EcKey:
    CURVES = {"P-256": (ec.SECP256R1(), 32), "P-384": (ec.SECP384R1(), 48), "P-521": (ec.SECP521R1(), 66)}
    HASHES = {"P-256": hashes.SHA256(), "P-384": hashes.SHA384(), "P-521": hashes.SHA512()}

    def __init__(self, label, curve):
        self.curve, (group, self.size) = curve, self.CURVES[curve]
        self.key = ec.derive_private_key(int.from_bytes(stream(label, self.size - 2), "big"), group)

    def private(self):
        return self.key

    def jwk(self, **more):
        point = self.key.public_key().public_numbers()
        return {"kty": "EC", "crv": self.curve, "x": uint(point.x, self.size), "y": uint(point.y, self.size), **more}

    def der(self, message):
        return self.key.sign(message, ec.ECDSA(self.HASHES[self.curve], deterministic_signing=True))

    def sign(self, message):
        r, s = utils.decode_dss_signature(self.der(message))
        return r.to_bytes(self.size, "big") + s.to_bytes(self.size, "big")


class EdKey:
    def __init__(self, label):
        self.key = ed25519.Ed25519PrivateKey.from_private_bytes(stream(label, 32))

    def private(self):
        return self.key

    def public(self):
        return self.key.public_key().public_bytes_raw()

    def jwk(self, **more):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64u(self.public()), **more}

    def sign(self, message):
        return self.key.sign(message)


def public_pem(key, form="SubjectPublicKeyInfo"):
    form = getattr(serialization.PublicFormat, form)
    return key.private().public_key().public_bytes(serialization.Encoding.PEM, form).decode()


RSA2048, RSA2048_B, RSA3072 = RsaKey("rsa a", 2048), RsaKey("rsa b", 2048), RsaKey("rsa c", 3072)
RSA1024 = RsaKey("rsa weak", 1024)
RSA4096 = RsaKey("rsa d", 4096)
P256, P256_B, P384, P521 = EcKey("p256", "P-256"), EcKey("p256 b", "P-256"), EcKey("p384", "P-384"), EcKey("p521", "P-521")
# Keys whose `x` begins with a zero byte: one in 256 does.
zero_x = lambda label, curve: next(key for key in (EcKey(f"{label} {n}", curve) for n in range(10_000)) if b64u_decode(key.jwk()["x"])[0] == 0)
P256_ZERO, P384_ZERO = zero_x("p256 zero", "P-256"), zero_x("p384 zero", "P-384")
ED, ED_B = EdKey("ed25519"), EdKey("ed25519 b")
SECRET = stream("secret", 64)


# --- signing ------------------------------------------------------------------------------------

DIGEST_INFO = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


def pkcs1_block(size, digest_info):
    return b"\x00\x01" + b"\xff" * (size - len(digest_info) - 3) + b"\x00" + digest_info


def pkcs1(key, name, message):
    return key.raw(pkcs1_block(key.size, DIGEST_INFO[name] + hashlib.new(name, message).digest()))


def mgf1(name, seed, length):
    blocks = (hashlib.new(name, seed + i.to_bytes(4, "big")).digest() for i in range(length // 20 + 1))
    return b"".join(blocks)[:length]


def pss(key, name, message, salt_length=None, trailer=b"\xbc"):
    digest = hashlib.new(name, message).digest()
    salt = stream("salt", len(digest) if salt_length is None else salt_length)
    h = hashlib.new(name, bytes(8) + digest + salt).digest()
    db = bytes(key.size - len(salt) - len(h) - 2) + b"\x01" + salt
    masked = bytearray(a ^ b for a, b in zip(db, mgf1(name, h, len(db))))
    masked[0] &= 0x7F
    return key.raw(bytes(masked) + h + trailer)


def sign(alg, key, message):
    name = "sha" + alg[2:]
    if alg.startswith("HS"):
        return hmac.new(key, message, name).digest()
    if alg.startswith("RS"):
        return pkcs1(key, name, message)
    if alg.startswith("PS"):
        return pss(key, name, message)
    return key.sign(message)


def compact(value):
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def signing_input(header, payload):
    return b64u(compact(header)) + "." + b64u(compact(payload))


def with_signature(header, payload, make):
    text = signing_input(header, payload)
    return text + "." + b64u(make(text.encode()))


def token(alg, key, payload=None, header=None):
    header = {"alg": alg, "typ": "JWT"} if header is None else header
    return with_signature(header, ID if payload is None else payload, lambda message: sign(alg, key, message))


def hs(payload=None, header=None):
    return token("HS256", SECRET, payload, header)


# --- rows ---------------------------------------------------------------------------------------

ID = {"iss": ISSUER, "sub": "248289761001", "aud": "crm", "iat": NOW - 60, "exp": NOW + 600}
LOGOUT = {"iss": ISSUER, "sub": "248289761001", "aud": "crm", "iat": NOW - 60, "exp": NOW + 60, "jti": "bWJq", "events": {EVENT: {}}}
ID_POLICY = {"kind": "id_token", "issuer": [ISSUER], "audience": ["crm"], "now": NOW}
LOGOUT_POLICY = {**ID_POLICY, "kind": "logout_token"}
ACCESS_POLICY = {**ID_POLICY, "kind": "access_token"}
JWT_POLICY = {"kind": "jwt", "now": NOW}
SECRET_KEY = {"secret_b64u": b64u(SECRET)}

files = {}


def row(file, row_name, name, text, keys, algorithms, expect, policy=None, comment="", **more):
    rows = files.setdefault(file, [])
    given = {"id": f"{file}/{row_name}/{name}", "token": text, **keys, "algorithms": algorithms, **more}
    if policy is not None:
        given["policy"] = policy
    verdict = {"valid": True} if expect is True else {"code": expect}
    rows.append({"row": row_name, "comment": comment or name.replace("-", " "), "input": given, "expect": verdict})


def attack(row_name, name, text, expect, keys=None, algorithms=("HS256",), policy=None, **more):
    row("attacks", row_name, name, text, SECRET_KEY if keys is None else keys, list(algorithms), expect, policy, **more)
