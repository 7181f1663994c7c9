"""Policies that users of WebSphere and WCF know by name. A preset is data: a document, and what it does not say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal, NamedTuple

from lxml import etree

from ..errors import ConfigurationError
from .algorithms import Algorithms
from .model import EndpointPolicy
from .reader import read_policy

_FOLDER = "presets"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A policy with a name.

    Args:
        name: what it is called.
        description: what it is, in a sentence.
        file: the document in this package.
        dialect: name of the dialect of WS-Trust that its stack speaks.
        changes: texts of the document, and what stands in their place: where versions of it differ.
        algorithms: what the policy has no assertion for, and a binding of WebSphere has
            (com.ibm.ws.wssecurity.dsig.SignatureAlgorithm).
    """

    name: str
    description: str
    file: str
    dialect: Literal["websphere13", "wcf"]
    changes: tuple[tuple[str, str], ...] = ()
    algorithms: Algorithms = field(default_factory=Algorithms)

    def document(self) -> bytes:
        """The wsp:Policy, for a WSDL or a file."""
        text = (files(__package__) / _FOLDER / self.file).read_text(encoding="utf-8")
        for old, new in self.changes:
            text = text.replace(old, new)
        return text.encode()

    def policy(self) -> EndpointPolicy:
        """The policy, which holds for every operation of an endpoint."""
        return _policy(self)

    def adjust(self, policy: EndpointPolicy) -> EndpointPolicy:
        """A policy that was read from :meth:`document` (in a WSDL perhaps), with what the document does not say."""
        return self.algorithms.apply(policy)


@lru_cache(maxsize=64)
def _policy(preset: Preset) -> EndpointPolicy:
    root = etree.fromstring(preset.document(), etree.XMLParser(remove_comments=True))
    return preset.adjust(read_policy(root, location=f"preset {preset.name}"))


def preset(name: str) -> Preset:
    """The preset of that name; case, spaces and punctuation do not count.

    Raises:
        ConfigurationError: when there is none; the hint lists those there are.
    """
    found = _BY_PLAIN_NAME.get(_plain(name))
    if found is None:
        raise ConfigurationError(
            f"There is no preset {name!r}", hint=f"give one of: {NAMES}; or the path of a file"
        )
    return found


def is_preset(name: str) -> bool:
    """Whether there is a preset of that name."""
    return _plain(name) in _BY_PLAIN_NAME


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


# ------------------------------------------------------------------------------------------- the presets

#: The sets of WebSphere: name, file, description.
_WEBSPHERE = (
    (
        "SecureConversation",
        "secure-conversation.xml",
        "WebSphere's set: contexts are asked for with certificates, messages secured with keys derived from them",
    ),
    (
        "Username SecureConversation",
        "username-secure-conversation.xml",
        "WebSphere's set: as SecureConversation, and a user name with a password in every request",
    ),
    (
        "LTPA SecureConversation",
        "ltpa-secure-conversation.xml",
        "WebSphere's set: as SecureConversation, and an LTPA token in every request",
    ),
    (
        "TrustServiceSecurityDefault",
        "trust-service.xml",
        "WebSphere's trust service; this set secures Issue and Renew, TrustServiceSymmetricDefault the rest",
    ),
    (
        "TrustServiceSymmetricDefault",
        "trust-service.xml",
        "WebSphere's trust service; this set secures Cancel and Validate, TrustServiceSecurityDefault the rest",
    ),
)


class _Version(NamedTuple):
    """A version of a set: ends of name and description, and how it differs from the set."""

    name: str = ""
    description: str = ""
    changes: tuple[tuple[str, str], ...] = ()
    algorithms: Algorithms = Algorithms()


_STRENGTHS = (
    _Version(),
    _Version(
        " SHA256",
        "; hmac-sha256, rsa-sha256 and SHA-256 digests, as with the SHA256 bindings",
        (("sp:Basic128Rsa15", "sp:Basic128Sha256Rsa15"),),
        Algorithms(sha256="wcf"),
    ),
)
_GENERATIONS = (
    _Version(),
    _Version(
        " (draft)",
        "; WS-SecureConversation of February 2005",
        (("sp:SC13SecurityContextToken", "sp:SC200502SecurityContextToken"),),
    ),
)
#: The bindings of WCF: credential, what asks for a context.
_WCF = (("UserName", "a user name and a password"), ("Certificate", "a certificate"))
_WCF_NAME = "WCF TransportWithMessageCredential"


def _websphere() -> Iterator[Preset]:
    for (name, file, description), strength, generation in itertools.product(
        _WEBSPHERE, _STRENGTHS, _GENERATIONS
    ):
        yield Preset(
            name=f"{name}{strength.name}{generation.name}",
            description=f"{description}{strength.description}{generation.description}",
            file=file,
            dialect="websphere13",
            changes=(*strength.changes, *generation.changes),
            algorithms=strength.algorithms,
        )


def _wcf() -> Iterator[Preset]:
    for credential, proof in _WCF:
        for binding, end, suffix in (("ws2007HttpBinding", "", ""), ("wsHttpBinding", " (draft)", "-draft")):
            yield Preset(
                name=f"{_WCF_NAME} {credential}{end}",
                description=f"{binding} of WCF over https: a context, asked for with {proof}, endorses messages",
                file=f"wcf-{credential.casefold()}{suffix}.xml",
                dialect="wcf",
            )


#: Every preset by its name.
PRESETS: Mapping[str, Preset] = MappingProxyType({one.name: one for one in (*_websphere(), *_wcf())})

#: Their names in short, for messages to people.
NAMES = (
    f"{', '.join(name for name, _, _ in _WEBSPHERE)}, each also with SHA256 or (draft) or both behind it; "
    f"{', '.join(f'{_WCF_NAME} {credential}' for credential, _ in _WCF)}, each also with (draft)"
)

_BY_PLAIN_NAME = {_plain(name): one for name, one in PRESETS.items()}
# without a credential the one that WCF's own templates show
_BY_PLAIN_NAME[_plain(_WCF_NAME)] = PRESETS[f"{_WCF_NAME} UserName"]
