"""Policies that users of WebSphere and WCF know by name. A preset is data: a document, and what it does not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Literal

from lxml import etree

from ..errors import ConfigurationError
from .model import EndpointPolicy, OperationPolicy, Policy, SecureConversationToken, SupportingToken, SymmetricBinding
from .reader import read_policy
from .suites import HMAC_SHA256, RSA_SHA256, AlgorithmSuite

_FOLDER = "presets"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A policy with a name.

    Args:
        name: what it is called.
        description: what it is, in a sentence.
        file: the document in this package.
        changes: texts of the document, and what stands in their place: what one version has and another has not.
        dialect: name of the dialect of WS-Trust that its stack speaks.
        signatures: (symmetric, asymmetric) signature algorithms, instead of those of the suite; the policy has no
            assertion for them, a binding of WebSphere has (com.ibm.ws.wssecurity.dsig.SignatureAlgorithm).
    """

    name: str
    description: str
    file: str
    changes: tuple[tuple[str, str], ...] = ()
    dialect: Literal["oasis13", "draft200502", "websphere13", "wcf"]
    signatures: tuple[str, str] | None = field(default=None)

    def document(self) -> bytes:
        """The wsp:Policy, for a WSDL or a file."""
        text = files(__package__).joinpath(_FOLDER, self.file).read_text(encoding="utf-8")
        for old, new in self.changes:
            text = text.replace(old, new)
        return text.encode()

    def policy(self) -> EndpointPolicy:
        """The policy, for every message of an endpoint."""
        return _read(self)

    def adjust(self, policy: EndpointPolicy) -> EndpointPolicy:
        """A policy that was read from :meth:`document`, in a WSDL perhaps, with what the document does not say."""
        if self.signatures is None:
            return policy
        return replace(
            policy,
            endpoint=self._adjusted(policy.endpoint),
            operations={name: self._operation(each) for name, each in policy.operations.items()},
        )
