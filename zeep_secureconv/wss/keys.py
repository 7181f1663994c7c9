"""Who we are, whom we talk to, and the secrets that a message may be protected with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import pkcs12
from lxml import etree

from ..errors import ConfigurationError
from ..names import WSU
from . import encryption, signature
from .certificates import Source, Trust, load_certificates, read_source
from .credentials import Credential, Leg

#: Makes an RSA signature value: (octets, algorithm URI) -> value.
SignCallable = Callable[[bytes, str], bytes]
#: Opens an RSA-encrypted key: (octets, algorithm URI) -> key. Raises ValueError when it cannot.
DecryptCallable = Callable[[bytes, str], bytes]


@dataclass(frozen=True)
class Identity:
    """A certificate with the use of its private key.

    The private key may stay in a device: give *sign* and *decrypt* callables then.

    Args:
        certificate: our certificate (RSA).
        sign: ``sign(data, algorithm)`` gives the signature value; *algorithm* is the URI of XML Signature.
        decrypt: ``decrypt(data, algorithm)`` opens an encrypted key; *algorithm* is the URI of XML Encryption.
        chain: intermediate certificates, sent where the policy asks for a path.
    """

    certificate: x509.Certificate
    sign: SignCallable = field(repr=False)
    decrypt: DecryptCallable = field(repr=False)
    chain: tuple[x509.Certificate, ...] = field(default=(), repr=False)

    @classmethod
    def from_pkcs12(cls, source: Source, password: str | bytes | None = None) -> Identity:
        """The identity in a PKCS#12 file.

        Args:
            source: path, or the file's bytes.
            password: of the file.

        Raises:
            ConfigurationError: when the file or the password is wrong, or something is missing in it.
        """
        data = read_source(source, "PKCS#12 file")
        secret = password.encode() if isinstance(password, str) else password
        try:
            key, certificate, chain = pkcs12.load_key_and_certificates(data, secret)
        except ValueError as error:
            raise ConfigurationError(
                "The PKCS#12 file cannot be opened: the password is wrong or it is no PKCS#12 file",
                hint="check the password; 'openssl pkcs12 -info -in FILE' shows whether it opens",
            ) from error
        if key is None or certificate is None:
            raise ConfigurationError(
                "The PKCS#12 file lacks a private key with its certificate", hint="export both into one file"
            )
        return cls._of(certificate, key, tuple(chain))

    @classmethod
    def from_pem(
        cls, certificate: Source, key: Source | None = None, password: str | bytes | None = None
    ) -> Identity:
        """The identity in PEM files.

        Args:
            certificate: path or bytes of the certificate, intermediates may follow it.
            key: path or bytes of the private key; left out when it is in the same file.
            password: of the key, when it is encrypted.

        Raises:
            ConfigurationError: when a file or the password is wrong, or key and certificate do not belong together.
        """
        first, *chain = load_certificates(certificate)
        data = read_source(certificate if key is None else key, "private key")
        secret = password.encode() if isinstance(password, str) else password
        try:
            private_key = serialization.load_pem_private_key(data, secret)
        except TypeError as error:
            raise ConfigurationError(
                "The private key is encrypted and there is no password, or the reverse",
                hint="give the password of the key file, or none for a key in the clear",
            ) from error
        except ValueError as error:
            raise ConfigurationError(
                "The private key cannot be read: it is no PEM key, or the password is wrong",
                hint="give a PEM file with the private key that belongs to the certificate, and its password",
            ) from error
        return cls._of(first, private_key, tuple(chain))

    @classmethod
    def _of(cls, certificate: x509.Certificate, key: object, chain: tuple[x509.Certificate, ...]) -> Identity:
        if not isinstance(key, RSAPrivateKey):
            raise ConfigurationError(
                "The private key is not an RSA key", hint="bootstrap policies with X.509 tokens need RSA"
            )
        public = certificate.public_key()
        if (
            not isinstance(public, RSAPublicKey)
            or public.public_numbers() != key.public_key().public_numbers()
        ):
            raise ConfigurationError(
                "The private key does not belong to the certificate",
                hint="give the key that the certificate was issued for",
            )
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return cls(
            certificate,
            sign=lambda data, algorithm: signature.rsa_sign(algorithm, pem, data),
            decrypt=lambda data, algorithm: key.decrypt(data, encryption.padding_of(algorithm)),
            chain=chain,
        )


@dataclass(frozen=True, kw_only=True)
class ContextKey:
    """One key of a security context, as messages use it: an instance of it.

    Args:
        identifier: wsc:Identifier.
        instance: wsc:Instance, or None for a context that was never renewed.
        wsc: namespace of WS-SecureConversation.
        secret: the key, in bytes.
        token: the wsc:SecurityContextToken exactly as it was received.
        attached, unattached: the wsse:SecurityTokenReference elements that came with it, as received, or None.
    """

    identifier: str
    instance: str | None
    wsc: str
    secret: bytes = field(repr=False)
    token: bytes = field(repr=False)
    attached: bytes | None = field(default=None, repr=False)
    unattached: bytes | None = field(default=None, repr=False)

    @cached_property
    def token_id(self) -> str | None:
        """wsu:Id of the token."""
        return etree.fromstring(self.token).get(f"{{{WSU}}}Id")


@dataclass(frozen=True, kw_only=True)
class EphemeralKey:
    """The key that a request brought along in an xenc:EncryptedKey, and its answer uses again.

    Args:
        secret: the key, in bytes.
        sha1: SHA-1 of the encrypted key's octets: the name that answers refer to it by (WSS 1.1, section 7.7).
    """

    secret: bytes = field(repr=False)
    sha1: bytes = field(repr=False)


#: Finds the key for (Identifier, Instance or None), or None when there is no such context.
ContextLookup = Callable[[str, str | None], ContextKey | None]


@dataclass(frozen=True, kw_only=True)
class Keyring:
    """The keys one message may be protected or checked with.

    Args:
        signing: our identity for signatures.
        decrypting: our identity for what is encrypted to us.
        peer: the certificate that we encrypt to, and whose holder answers.
        signers: certificates of which one must have signed, or empty when *trust* alone decides (a service).
        trust: judges certificates of signers.
        role: what the peer acts as, "server" or "client".
        context: the key of the context in use.
        lookup: finds contexts by what a message names; None allows only *context*.
        ephemeral: the key that the request brought along, for its answer.
        tokens: what we prove ourselves with besides.
        leg: the part of the conversation that the message belongs to.
        password_of: on a service, the password of a user, for keys that are made from it.
        over_tls: whether the message travels over TLS with verified certificates.
    """

    signing: Identity | None = None
    decrypting: Identity | None = None
    peer: x509.Certificate | None = None
    signers: tuple[x509.Certificate, ...] = ()
    trust: Trust | None = None
    role: str = "server"
    context: ContextKey | None = None
    lookup: ContextLookup | None = None
    ephemeral: EphemeralKey | None = None
    tokens: tuple[Credential, ...] = ()
    leg: Leg = "application"
    password_of: Callable[[str], str | None] | None = field(default=None, repr=False)
    over_tls: bool = False

    def find(self, identifier: str, instance: str | None) -> ContextKey | None:
        """The context key that a message names, if this ring allows it."""
        if self.lookup is not None:
            return self.lookup(identifier, instance)
        key = self.context
        if key is None or key.identifier != identifier:
            return None
        # Metro's references never carry an Instance: without one the current key is meant
        return key if instance is None or instance == key.instance else None
