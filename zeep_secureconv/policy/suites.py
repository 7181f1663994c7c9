"""Every algorithm suite of WS-SecurityPolicy (1.2, section 6.1), and CXF's GCM suites, as data."""

from __future__ import annotations

from dataclasses import dataclass

from ..names import DS, DSIG_MORE, EXC_C14N, SP_200702, XENC, XENC11

CXF_SUITES = "http://cxf.apache.org/custom/security-policy"

SHA1 = f"{DS}sha1"
SHA256 = f"{XENC}sha256"
SHA384 = f"{DSIG_MORE}sha384"
SHA512 = f"{XENC}sha512"

HMAC_SHA1 = f"{DS}hmac-sha1"
HMAC_SHA256 = f"{DSIG_MORE}hmac-sha256"
HMAC_SHA384 = f"{DSIG_MORE}hmac-sha384"
HMAC_SHA512 = f"{DSIG_MORE}hmac-sha512"
RSA_SHA1 = f"{DS}rsa-sha1"
RSA_SHA256 = f"{DSIG_MORE}rsa-sha256"
RSA_SHA384 = f"{DSIG_MORE}rsa-sha384"
RSA_SHA512 = f"{DSIG_MORE}rsa-sha512"

TRIPLEDES_CBC = f"{XENC}tripledes-cbc"
AES128_CBC = f"{XENC}aes128-cbc"
AES192_CBC = f"{XENC}aes192-cbc"
AES256_CBC = f"{XENC}aes256-cbc"
AES128_GCM = f"{XENC11}aes128-gcm"
AES192_GCM = f"{XENC11}aes192-gcm"
AES256_GCM = f"{XENC11}aes256-gcm"

RSA_OAEP_MGF1P = f"{XENC}rsa-oaep-mgf1p"
RSA_OAEP = f"{XENC11}rsa-oaep"
MGF1_SHA1 = f"{XENC11}mgf1sha1"
MGF1_SHA224 = f"{XENC11}mgf1sha224"
MGF1_SHA256 = f"{XENC11}mgf1sha256"
MGF1_SHA384 = f"{XENC11}mgf1sha384"
MGF1_SHA512 = f"{XENC11}mgf1sha512"
RSA_15 = f"{XENC}rsa-1_5"


@dataclass(frozen=True, kw_only=True)
class AlgorithmSuite:
    """The algorithms of one suite.

    Lengths are in bytes. *signature_key_length* and *encryption_key_length* are those of derived keys
    ([Sig KDL] and [Enc KDL] in the standard); *minimum_key_length* is that of a symmetric key. *oaep_digest* and
    *oaep_mgf* are the parameters of xmlenc11#rsa-oaep; those of rsa-oaep-mgf1p are SHA-1 always.
    """

    name: str
    namespace: str
    digest: str
    encryption: str
    asymmetric_key_wrap: str
    encryption_key_length: int
    signature_key_length: int
    minimum_key_length: int
    symmetric_signature: str = HMAC_SHA1
    asymmetric_signature: str = RSA_SHA1
    canonicalization: str = EXC_C14N
    maximum_key_length: int = 32
    oaep_digest: str = SHA1
    oaep_mgf: str = MGF1_SHA1

    @property
    def weak(self) -> tuple[str, ...]:
        """The algorithms of this suite that are known to be weak today, by their URIs."""
        used = (self.digest, self.asymmetric_signature, self.asymmetric_key_wrap, self.encryption)
        return tuple(uri for uri in used if uri in _WEAK)


_WEAK = frozenset({SHA1, RSA_SHA1, RSA_15, TRIPLEDES_CBC})

#: name, data encryption, encryption key bytes, signature key bytes
_FAMILIES = (
    ("Basic256", AES256_CBC, 32, 24),
    ("Basic192", AES192_CBC, 24, 24),
    ("Basic128", AES128_CBC, 16, 16),
    ("TripleDes", TRIPLEDES_CBC, 24, 24),
)
_GCM_FAMILIES = (
    ("Basic256GCM", AES256_GCM, 32, 24),
    ("Basic192GCM", AES192_GCM, 24, 24),
    ("Basic128GCM", AES128_GCM, 16, 16),
)
#: suffix, digest, key wrap
_FLAVOURS = (
    ("", SHA1, RSA_OAEP_MGF1P),
    ("Rsa15", SHA1, RSA_15),
    ("Sha256", SHA256, RSA_OAEP_MGF1P),
    ("Sha256Rsa15", SHA256, RSA_15),
)


def _suites() -> dict[str, AlgorithmSuite]:
    found = {}
    for families, namespace in ((_FAMILIES, SP_200702), (_GCM_FAMILIES, CXF_SUITES)):
        for family, encryption, encryption_bytes, signature_bytes in families:
            for suffix, digest, wrap in _FLAVOURS:
                found[family + suffix] = AlgorithmSuite(
                    name=family + suffix,
                    namespace=namespace,
                    digest=digest,
                    encryption=encryption,
                    asymmetric_key_wrap=wrap,
                    encryption_key_length=encryption_bytes,
                    signature_key_length=signature_bytes,
                    minimum_key_length=encryption_bytes,
                )
    return found


#: Every suite by its name. The Sha256 suites change the digest only, as WSS4J reads them: signatures stay
#: hmac-sha1 and rsa-sha1 (as CXF 3.6 does).
SUITES = _suites()
