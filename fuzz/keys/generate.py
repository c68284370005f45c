#!/usr/bin/env python3
"""Writes the RSA private keys that the fuzz targets sign with (PKCS#8, DER). Derived from labels, like
every key of the vectors: a run without changes changes nothing. Needs `cryptography`; secret nowhere."""

import pathlib
import sys

from cryptography.hazmat.primitives import serialization

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "vectors"))

import jose  # noqa: E402

for name, bits in (("2048", 2048), ("2048b", 2048), ("3072", 3072), ("4096", 4096)):
    key = jose.RsaKey(f"fuzz rsa {name}", bits).private()
    der = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (HERE / f"rsa{name}.pk8").write_bytes(der)
