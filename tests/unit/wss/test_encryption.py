"""Ciphers: known answers of NIST, padding, and one error for every failure."""

from __future__ import annotations

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.parties import identity, rsa_key
from zeep_secureconv import VerificationError
from zeep_secureconv.clock import SYSTEM_RANDOM, RandomBytes
from zeep_secureconv.policy import SUITES, suites
from zeep_secureconv.wss import encryption

_x = bytes.fromhex

#: SP 800-38A, appendix F: four blocks, whose last octet is 16, so that the fourth is padding to XML Encryption.
BLOCKS = _x(
    "6bc1bee22e409f96e93d7e117393172a"
    "ae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52ef"
    "f69f2445df4f9b17ad2b417be66c3710"
)
IV = bytes(range(16))
CBC = {
    # F.2.1
    suites.AES128_CBC: (
        _x("2b7e151628aed2a6abf7158809cf4f3c"),
        _x(
            "7649abac8119b246cee98e9b12e9197d"
            "5086cb9b507219ee95db113a917678b2"
            "73bed6b8e3c1743b7116e69e22229516"
            "3ff1caa1681fac09120eca307586e1a7"
        ),
    ),
    # F.2.3
    suites.AES192_CBC: (
        _x("8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"),
        _x(
            "4f021db243bc633d7178183a9fa071e8"
            "b4d9ada9ad7dedf4e5e738763f69145a"
            "571b242012fb7ae07fa9baac3df102e0"
            "08b0e27988598881d920a9e64f5615cd"
        ),
    ),
    # F.2.5
    suites.AES256_CBC: (
        _x("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"),
        _x(
            "f58c4c04d6e5f1ba779eabfb5f7bfbd6"
            "9cfc4e967edb808d679f777bc6702c7d"
            "39f23369a9d9bacfa530e26304231461"
            "b2eb05e2c39be9fcda6c19078c6a9d1b"
        ),
    ),
}
#: NIST's example values for TDES in CBC mode: four blocks of eight octets.
TDES_KEY = _x("0123456789abcdef23456789abcdef01456789abcdef0123")
TDES_IV = _x("f69f2445df4f9b17")
TDES_PLAIN = BLOCKS[:32]
TDES_CIPHER = _x("2079c3d53aa763e193b79e2569ab5262516570481f25b50f73c0bda85c8e0da7")
#: McGrew and Viega, test cases 2 and 3, 8, 14: key, IV, plaintext, ciphertext, tag.
GCM = [
    (
        suites.AES128_GCM,
        bytes(16),
        bytes(12),
        bytes(16),
        _x("0388dace60b6a392f328c2b971b2fe78"),
        _x("ab6e47d42cec13bdf53a67b21257bddf"),
    ),
    (
        suites.AES128_GCM,
        _x("feffe9928665731c6d6a8f9467308308"),
        _x("cafebabefacedbaddecaf888"),
        _x(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
        ),
        _x(
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
            "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985"
        ),
        _x("4d5c2af327cd64a62cf35abd2ba6fab4"),
    ),
    (
        suites.AES192_GCM,
        bytes(24),
        bytes(12),
        bytes(16),
        _x("98e7247c07f0fe411c267e4384b0f600"),
        _x("2ff58d80033927ab8ef4d4587514f0fb"),
    ),
    (
        suites.AES256_GCM,
        bytes(32),
        bytes(12),
        bytes(16),
        _x("cea7403d4d606b6e074ec5d3baf39d18"),
        _x("d0d1c8a799996bf0265b98b5d48ab919"),
    ),
]
BLOCK_SIZE = {
    algorithm: 8 if algorithm == suites.TRIPLEDES_CBC else 16 for algorithm in (*CBC, suites.TRIPLEDES_CBC)
}
CIPHERS = sorted({suite.encryption for suite in SUITES.values()})


def given_octets(*answers: bytes) -> RandomBytes:
    """A source of randomness that gives these octets."""
    left = list(answers)

    def take(count: int) -> bytes:
        octets = left.pop(0)
        assert len(octets) == count
        return octets

    return take


def refused(algorithm: str, key: bytes, data: bytes) -> str:
    """The text of the error that decrypting gives."""
    with pytest.raises(VerificationError) as caught:
        encryption.decrypt(algorithm, key, data)
    assert caught.value.check == "decryption"
    assert caught.value.__cause__ is None
    return str(caught.value)


def raw_cbc(algorithm: str, key: bytes, padded: bytes) -> bytes:
    """IV and ciphertext of octets that are padded already."""
    block = BLOCK_SIZE[algorithm]
    cipher = TripleDES(key) if block == 8 else algorithms.AES(key)
    encryptor = Cipher(cipher, modes.CBC(bytes(block))).encryptor()
    return bytes(block) + encryptor.update(padded) + encryptor.finalize()


@pytest.mark.parametrize("algorithm", CBC)
def test_aes_cbc_gives_the_known_answers(algorithm: str) -> None:
    """AES in CBC mode gives NIST's ciphertext, and takes it back."""
    key, ciphertext = CBC[algorithm]
    made = encryption.encrypt(algorithm, key, BLOCKS, given_octets(IV))
    assert made[:16] == IV
    assert made[16 : 16 + 64] == ciphertext
    assert encryption.decrypt(algorithm, key, made) == BLOCKS
    assert encryption.decrypt(algorithm, key, IV + ciphertext) == BLOCKS[:48]


def test_triple_des_gives_the_known_answer() -> None:
    """Triple DES in CBC mode gives NIST's ciphertext, and takes it back."""
    made = encryption.encrypt(suites.TRIPLEDES_CBC, TDES_KEY, TDES_PLAIN, given_octets(TDES_IV))
    assert made[:8] == TDES_IV
    assert made[8:40] == TDES_CIPHER
    assert encryption.decrypt(suites.TRIPLEDES_CBC, TDES_KEY, made) == TDES_PLAIN


@pytest.mark.parametrize("case", GCM, ids=["128-2", "128-3", "192-8", "256-14"])
def test_gcm_gives_the_known_answers(case: tuple[str, bytes, bytes, bytes, bytes, bytes]) -> None:
    """AES-GCM gives the answers of its specification, IV first and tag last."""
    algorithm, key, iv, plaintext, ciphertext, tag = case
    assert encryption.encrypt(algorithm, key, plaintext, given_octets(iv)) == iv + ciphertext + tag
    assert encryption.decrypt(algorithm, key, iv + ciphertext + tag) == plaintext


@pytest.mark.parametrize("algorithm", CIPHERS)
@given(plaintext=st.binary(max_size=70))
def test_what_was_encrypted_is_decrypted(algorithm: str, plaintext: bytes) -> None:
    """Octets of any length come back."""
    key = bytes(range(encryption.key_length(algorithm)))
    made = encryption.encrypt(algorithm, key, plaintext, SYSTEM_RANDOM)
    assert encryption.decrypt(algorithm, key, made) == plaintext
    assert encryption.encrypt(algorithm, key, plaintext, SYSTEM_RANDOM) != made


@pytest.mark.parametrize("algorithm", BLOCK_SIZE)
def test_only_the_last_octet_of_padding_counts(algorithm: str) -> None:
    """Padding of one octet to a whole block is accepted, whatever stands before its last octet."""
    key, block = bytes(range(encryption.key_length(algorithm))), BLOCK_SIZE[algorithm]
    for count in range(1, block + 1):
        plaintext = b"a" * (2 * block - count)
        padded = plaintext + bytes(range(200, 200 + count - 1)) + bytes([count])
        assert encryption.decrypt(algorithm, key, raw_cbc(algorithm, key, padded)) == plaintext


@pytest.mark.parametrize("algorithm", BLOCK_SIZE)
@pytest.mark.parametrize("count", ["zero", "one more", "255"])
def test_padding_out_of_bounds_is_refused(algorithm: str, count: str) -> None:
    """No padding, and more padding than a block, is refused."""
    key, block = bytes(range(encryption.key_length(algorithm))), BLOCK_SIZE[algorithm]
    assert encryption.decrypt(algorithm, key, raw_cbc(algorithm, key, b"a" * (2 * block - 1) + b"\x01"))
    number = {"zero": 0, "one more": block + 1, "255": 255}[count]
    refused(algorithm, key, raw_cbc(algorithm, key, b"a" * (2 * block - 1) + bytes([number])))


@pytest.mark.parametrize("algorithm", CIPHERS)
def test_every_failure_has_the_same_text(algorithm: str) -> None:
    """Too short, cut, changed, or under another key: one error that does not say which."""
    length = encryption.key_length(algorithm)
    key = bytes(range(length))
    made = encryption.encrypt(algorithm, key, b"x" * 40, SYSTEM_RANDOM)
    assert encryption.decrypt(algorithm, key, made) == b"x" * 40
    texts = {
        refused(algorithm, key, b""),
        refused(algorithm, key, made[:7]),
        refused(algorithm, key, made[: len(made) // 2 + 1]),
        refused(algorithm, key[:-1], made),
        refused(algorithm, key + b"\0", made),
        refused(algorithm, b"", made),
    }
    if algorithm in BLOCK_SIZE:
        block = BLOCK_SIZE[algorithm]
        texts.add(refused(algorithm, key, made[:block]))
        texts.add(refused(algorithm, key, raw_cbc(algorithm, key, bytes(block))))
    else:
        texts.add(refused(algorithm, key, made[:-1] + bytes([made[-1] ^ 1])))
        texts.add(refused(algorithm, bytes(length), made))
    assert len(texts) == 1


@pytest.mark.parametrize("algorithm", [suites.RSA_15, suites.RSA_OAEP_MGF1P])
def test_a_content_key_travels_under_rsa(algorithm: str) -> None:
    """What is wrapped to a certificate is opened by its holder alone."""
    key = bytes(range(32))
    wrapped = encryption.wrap_key(algorithm, rsa_key("server").public_key(), key)
    assert identity("server").decrypt(wrapped, algorithm) == key
    assert encryption.wrap_key(algorithm, rsa_key("server").public_key(), key) != wrapped


def test_garbage_under_rsa_15_is_no_exception() -> None:
    """Octets that nobody wrapped open to random octets of a random length, which is no content key's."""
    good = encryption.wrap_key(suites.RSA_15, rsa_key("server").public_key(), bytes(16))
    assert identity("server").decrypt(good, suites.RSA_15) == bytes(16)
    for number in range(20):
        opened = identity("server").decrypt(bytes([number]) * 256, suites.RSA_15)
        assert opened != bytes(16)


def test_garbage_under_oaep_is_a_value_error() -> None:
    """Octets that nobody wrapped are refused by OAEP, as the callable of an Identity is to say it."""
    with pytest.raises(ValueError, match="failed"):
        identity("server").decrypt(bytes(256), suites.RSA_OAEP_MGF1P)


def test_key_lengths_are_those_of_the_suites() -> None:
    """Each suite derives as many bytes for encryption as its cipher wants."""
    for suite in SUITES.values():
        assert encryption.key_length(suite.encryption) == suite.encryption_key_length
