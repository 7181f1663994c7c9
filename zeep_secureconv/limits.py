"""Bounds on everything that a peer controls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds that are checked before work is spent on a message.

    The defaults take every message that the known stacks send, with room to spare. WCF reads offsets up
    to 64, labels up to 128 characters and nonces up to 128 bytes; WSE offsets up to 1024.

    Args:
        message_bytes: the largest message read from the network, in bytes.
        elements: elements in a message. They are counted before it is parsed, by twice as many tags, so that a
            message of empty elements may have up to twice this number.
        header_elements: elements inside soap:Header.
        depth: nesting of elements in a message.
        attributes: attributes of one element, and declarations of namespaces on it.
        attribute_chars: length of an attribute's value.
        signatures: ds:Signature elements in one message.
        references: ds:Reference elements in one signature, and xenc:DataReference elements in one list.
        encrypted_parts: xenc:EncryptedData elements in one message that are decrypted.
        tokens: security tokens in one header.
        encrypted_keys: xenc:EncryptedKey elements in one header; each costs a decryption with RSA.
        derived_keys: wsc:DerivedKeyToken elements in one message.
        nonce_bytes: length of a derivation nonce.
        label_chars: length of a derivation label.
        derived_offset: largest offset into the derivation, in bytes.
        derived_length: longest derived key, in bytes.
        entropy_bytes: longest entropy or secret taken from a peer.
        password_iterations: hashes in the derivation of a key from a password.
        identifier_chars: longest identifier, MessageID or Instance.
        contexts: contexts held by one in-memory store.
        contexts_per_principal: contexts one principal may hold on a service.
        bootstraps: requests for contexts that a service works on at the same time, with all that ``authenticate=`` and
            ``authorize=`` do. Calls do not count.
        waiting_bootstraps: requests for contexts that wait for their turn besides, for at most five seconds; others
            are told to come back. These hold threads of the server too: both together below their number leave some for
            calls.
    """

    message_bytes: int = 64 * 1024 * 1024
    elements: int = 1_000_000
    header_elements: int = 2_000
    depth: int = 200
    attributes: int = 1_000
    attribute_chars: int = 1_000_000
    signatures: int = 8
    references: int = 100
    encrypted_parts: int = 30
    tokens: int = 30
    encrypted_keys: int = 4
    derived_keys: int = 16
    nonce_bytes: int = 128
    label_chars: int = 128
    derived_offset: int = 1_024
    derived_length: int = 64
    entropy_bytes: int = 256
    password_iterations: int = 10_000
    identifier_chars: int = 1_024
    contexts: int = 100_000
    contexts_per_principal: int = 10_000
    bootstraps: int = 8
    waiting_bootstraps: int = 100
