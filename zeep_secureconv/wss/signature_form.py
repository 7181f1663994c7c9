"""ds:Signature as data, in the one form that is accepted."""

from __future__ import annotations

from dataclasses import dataclass, field

from lxml import etree

from ..errors import LimitExceeded, VerificationError
from ..limits import Limits
from ..names import DS, EXC_C14N, WSSE
from ..policy.suites import AlgorithmSuite
from .forms import octets_of, only

_INCLUSIVE = f"{{{EXC_C14N}}}InclusiveNamespaces"
_TRANSFORMS = (f"{{{DS}}}Transforms", f"{{{DS}}}Transform")


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
    info = only(element, f"{{{DS}}}SignedInfo", "signature-form")
    method = only(info, f"{{{DS}}}CanonicalizationMethod", "signature-form")
    algorithm = only(info, f"{{{DS}}}SignatureMethod", "signature-form")
    if len(algorithm):
        # ds:HMACOutputLength above all: it shortens what has to be guessed
        raise VerificationError("algorithm", "The SignatureMethod has parameters")
    key_info = only(element, f"{{{DS}}}KeyInfo", "signature-form")
    return SignatureForm(
        info=info,
        prefixes=_prefixes(method, suite, limits),
        algorithm=algorithm.get("Algorithm"),
        references=_references(info, suite, limits),
        value=octets_of(only(element, f"{{{DS}}}SignatureValue", "signature-form"), "signature-form"),
        key=only(key_info, f"{{{WSSE}}}SecurityTokenReference", "token-reference"),
    )


def _references(info: etree._Element, suite: AlgorithmSuite, limits: Limits) -> tuple[SignedReference, ...]:
    found: list[SignedReference] = []
    for reference in info.iterchildren(f"{{{DS}}}Reference"):
        if len(found) == limits.references:
            raise LimitExceeded("reference", "A signature has too many references")
        found.append(_reference(reference, suite, limits))
    if not found:
        raise VerificationError("signature-form", "A signature covers nothing")
    return tuple(found)


def _reference(element: etree._Element, suite: AlgorithmSuite, limits: Limits) -> SignedReference:
    uri = element.get("URI") or ""
    if not uri.startswith("#") or len(uri) < 2 or uri.startswith("#xpointer("):
        raise VerificationError("reference", "A signature refers to something outside the message")
    transforms = only(element, _TRANSFORMS[0], "transform")
    transform = only(transforms, _TRANSFORMS[1], "transform")
    if len(transforms) != 1 or transform.get("Algorithm") != suite.canonicalization:
        raise VerificationError("transform", "Only exclusive canonicalization is accepted as a transform")
    digest = only(element, f"{{{DS}}}DigestMethod", "signature-form")
    if digest.get("Algorithm") != suite.digest or len(digest):
        raise VerificationError("algorithm", "A digest algorithm is not that of the policy")
    return SignedReference(
        id=uri[1:],
        prefixes=_prefixes(transform, suite, limits),
        digest=octets_of(only(element, f"{{{DS}}}DigestValue", "signature-form"), "signature-form"),
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
