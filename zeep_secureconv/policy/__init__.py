"""What a message must look like: the model of WS-SecurityPolicy, the algorithm suites, and the reader."""

from __future__ import annotations

from .model import (
    AsymmetricBinding,
    Binding,
    DerivedKeys,
    Direction,
    EndpointPolicy,
    HeaderPart,
    Include,
    Layout,
    OperationPolicy,
    Parts,
    Policy,
    ReferenceStyle,
    SecureConversationToken,
    SymmetricBinding,
    Token,
    TrustOptions,
    Wss,
    X509Token,
)
from .reader import read_document, read_policy, read_wsdl
from .suites import SUITES, AlgorithmSuite

__all__ = [
    "SUITES",
    "AlgorithmSuite",
    "AsymmetricBinding",
    "Binding",
    "DerivedKeys",
    "Direction",
    "EndpointPolicy",
    "HeaderPart",
    "Include",
    "Layout",
    "OperationPolicy",
    "Parts",
    "Policy",
    "ReferenceStyle",
    "SecureConversationToken",
    "SymmetricBinding",
    "Token",
    "TrustOptions",
    "Wss",
    "X509Token",
    "read_document",
    "read_policy",
    "read_wsdl",
]
