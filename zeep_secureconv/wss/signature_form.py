"""ds:Signature as data, in the one form that is accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lxml import etree

from ..errors import LimitExceeded, VerificationError
from ..limits import Limits
from ..names import DS, EXC_C14N, WSSE
from ..policy.suites import AlgorithmSuite
from .forms import octets_of, only

_INCLUSIVE = f"{{{EXC_C14N}}}InclusiveNamespaces"
_SIGNATURE = [f"{{{DS}}}{local}" for local in ("SignedInfo", "SignatureValue", "KeyInfo")]
_SIGNED_INFO = [f"{{{DS}}}{local}" for local in ("CanonicalizationMethod", "SignatureMethod")]
_REFERENCE = f"{{{DS}}}Reference"
_REFERENCE_PARTS = [f"{{{DS}}}{local}" for local in ("Transforms", "DigestMethod", "DigestValue")]


@dataclass(frozen=True, kw_only=True)
class SignedReference:
    """A ds:Reference: the id of an element of the message, its canonicalization's PrefixList, its digest."""

    id: str
    prefixes: tuple[str, ...]
    digest: bytes


@dataclass(frozen=True, kw_only=True)
class SignatureForm:
    """A ds:Signature.

    Args:
        info: ds:SignedInfo, which the value is over.
        prefixes: the PrefixList of its canonicalization.
        algorithm: URI of the signature method.
        references: what it covers.
        value: the signature value.
        key: the SecurityTokenReference in its KeyInfo.
    """

    info: etree._Element
    prefixes: tuple[str, ...]
    algorithm: str | None
    references: tuple[SignedReference, ...]
    value: bytes = field(repr=False)
    key: etree._Element


def read_signature(element: etree._Element, suite: AlgorithmSuite, limits: Limits) -> SignatureForm:
    """Read a ds:Signature without computing anything.

    Every reference goes to an element of this message by its id, with exclusive canonicalization as its only
    transform: no other transform, no other URI and no parameter of an algorithm is accepted.

    Raises:
        VerificationError: checks "signature-form", "canonicalization", "transform", "reference", "algorithm".
        LimitExceeded: when there are too many references or prefixes.
    """
    info, value, key_info = _in_order(element[:], _SIGNATURE)
    method, algorithm = _in_order(info[: len(_SIGNED_INFO)], _SIGNED_INFO)
    if len(algorithm):
        # ds:HMACOutputLength above all: it shortens what has to be guessed
        raise VerificationError("algorithm", "The SignatureMethod has parameters")
    return SignatureForm(
        info=info,
        prefixes=_prefixes(method, suite, limits),
        algorithm=algorithm.get("Algorithm"),
        references=_references(info, suite, limits),
        value=octets_of(value, "signature-form"),
        key=only(key_info, f"{{{WSSE}}}SecurityTokenReference", "token-reference"),
    )


def _in_order(children: list[etree._Element], tags: Sequence[str]) -> list[etree._Element]:
    """The children, which must have these tags in this order (the schema of XML Signature is a sequence)."""
    if [child.tag for child in children] != tags:
        raise VerificationError(
            "signature-form", "A part of the signature is missing, stands twice or in another place"
        )
    return children


def _references(info: etree._Element, suite: AlgorithmSuite, limits: Limits) -> tuple[SignedReference, ...]:
    elements = info[len(_SIGNED_INFO) :]
    if len(elements) > limits.references:
        raise LimitExceeded("reference", "A signature has too many references")
    if not elements or any(element.tag != _REFERENCE for element in elements):
        raise VerificationError("signature-form", "A signature covers nothing, or holds something unknown")
    references = tuple(_reference(element, suite, limits) for element in elements)
    if len({reference.id for reference in references}) != len(references):
        raise VerificationError("signature-form", "A signature covers something twice")
    return references


def _reference(element: etree._Element, suite: AlgorithmSuite, limits: Limits) -> SignedReference:
    uri = element.get("URI") or ""
    if not uri.startswith("#") or len(uri) < 2 or uri.startswith("#xpointer("):
        raise VerificationError("reference", "A signature refers to something outside the message")
    if not len(element) or element[0].tag != _REFERENCE_PARTS[0]:
        raise VerificationError("transform", "A reference has no transforms")
    transforms, digest, value = _in_order(element[:], _REFERENCE_PARTS)
    if len(transforms) != 1 or transforms[0].tag != f"{{{DS}}}Transform":
        raise VerificationError("transform", "A reference does not have one transform")
    transform = transforms[0]
    if transform.get("Algorithm") != suite.canonicalization:
        raise VerificationError("transform", "Only exclusive canonicalization is accepted as a transform")
    if digest.get("Algorithm") != suite.digest or len(digest):
        raise VerificationError("algorithm", "A digest algorithm is not that of the policy")
    return SignedReference(
        id=uri[1:],
        prefixes=_prefixes(transform, suite, limits),
        digest=octets_of(value, "signature-form"),
    )


def _prefixes(method: etree._Element, suite: AlgorithmSuite, limits: Limits) -> tuple[str, ...]:
    """The PrefixList of exclusive canonicalization."""
    if method.get("Algorithm") != suite.canonicalization:
        raise VerificationError("canonicalization", "Only exclusive canonicalization is accepted")
    if not len(method):
        return ()
    if len(method) > 1 or method[0].tag != _INCLUSIVE:
        raise VerificationError("canonicalization", "A canonicalization has parameters that are not known")
    prefixes = tuple((method[0].get("PrefixList") or "").split())
    if len(prefixes) > limits.references:
        raise LimitExceeded("canonicalization", "A PrefixList is too long")
    return prefixes
