"""Every binding, supporting token and kind of part: what is protected is read again, and what lacks is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from lxml import etree

from tests.unit.messages import (
    ADDRESSING,
    BODY,
    ENDORSER,
    LTPA,
    SAML,
    SIGNED,
    THUMBPRINT,
    TICKETED,
    asymmetric,
    context,
    keyrings,
    message,
    order,
    over_tls,
    path,
    security,
    supplied,
    symmetric,
    username,
    wire,
    with_certificate,
)
from tests.unit.parties import environment, identity
from zeep_secureconv import PolicyError, VerificationError
from zeep_secureconv.names import DS, SOAP11, SOAP12, WSSE, WSU, XENC
from zeep_secureconv.policy import DerivedKeys, Direction, Include, Parts, Policy
from zeep_secureconv.policy.model import (
    Layout,
    PasswordForm,
    SecureConversationToken,
    SuppliedToken,
    SupportingToken,
    SymmetricBinding,
    UsernameToken,
    Wss,
    X509Token,
)
from zeep_secureconv.soap.envelope import Soap
from zeep_secureconv.wss.keys import Keyring
from zeep_secureconv.wss.protect import Protected, protect
from zeep_secureconv.wss.seen import SeenSignatures
from zeep_secureconv.wss.unprotect import Verified, unprotect

DERIVED = (DerivedKeys.NONE, DerivedKeys.EXPLICIT, DerivedKeys.IMPLIED, DerivedKeys.EITHER)


def send(soap: Soap, policy: Policy, ring: Keyring | None = None) -> Protected:
    """Protect a request."""
    return protect(soap, policy, ring or keyrings()[0], environment(), direction=Direction.REQUEST)


def take(soap: Soap, policy: Policy, ring: Keyring | None = None, **options: Any) -> Verified:
    """Unprotect a request as it arrives."""
    return unprotect(wire(soap), policy, ring or keyrings()[1], environment(), **options)


def there_and_back(policy: Policy, **options: Any) -> tuple[Verified, Verified]:
    """(what the service read, what the client read of the answer)."""
    soap = message(headers=TICKETED, **options)
    clear = list(soap.body.itertext())
    sent = send(soap, policy)
    request = take(soap, policy)
    assert list(request.soap.body.itertext()) == clear
    mine, theirs = keyrings(Direction.RESPONSE)
    signer = request.signer or next(iter(request.endorsers), mine.peer)
    mine = replace(mine, peer=signer, ephemeral=request.ephemeral)
    answer = message(headers=TICKETED, **options)
    protect(
        answer,
        policy,
        mine,
        environment(),
        direction=Direction.RESPONSE,
        confirm=request.signature_values,
    )
    theirs = replace(theirs, ephemeral=sent.ephemeral)
    reply = unprotect(wire(answer), policy, theirs, environment(), sent=sent.signature_values)
    assert list(reply.soap.body.itertext()) == clear
    return request, reply


def refused(policy: Policy, other: Policy, check: str) -> None:
    """A message under *policy* is refused by *other*, with that check, and taken by its own."""
    soap = message(headers=TICKETED)
    send(soap, policy)
    take(soap, policy)
    with pytest.raises(VerificationError) as caught:
        take(soap, other)
    assert caught.value.check == check


# ------------------------------------------------------------------------------------------ bindings


@pytest.mark.parametrize("derived", DERIVED)
@pytest.mark.parametrize("suite", ["Basic128", "Basic256", "TripleDes", "Basic256Sha256Rsa15", "Basic128GCM"])
def test_a_symmetric_binding_with_a_certificate(suite: str, derived: DerivedKeys) -> None:
    """The key goes encrypted with the request, and its answer is under the same one, whatever the order and hiding."""
    token = replace(THUMBPRINT, derived_keys=derived)
    for before, hidden, version in product([False, True], [False, True], [SOAP11, SOAP12]):
        policy = with_certificate(
            suite,
            token=token,
            encrypt_before_signing=before,
            encrypt_signature=hidden,
            wss=Wss(version="1.1", require_signature_confirmation=hidden),
        )
        request, reply = there_and_back(policy, version=version)
        assert request.ephemeral is not None
        assert request.signer is None
        assert request.context is None
        assert reply.is_signed(reply.soap.body)


@pytest.mark.parametrize("derived", DERIVED)
@pytest.mark.parametrize("external", [False, True])
def test_a_context_with_every_kind_of_derivation(derived: DerivedKeys, external: bool) -> None:
    """Keys of a context: raw, derived by tokens, derived by references."""
    for suite in ("Basic128", "Basic256", "TripleDes"):
        policy = symmetric(suite, derived_keys=derived, require_external_uri_reference=external)
        request, reply = there_and_back(policy)
        assert request.context == reply.context == context()
    soap = message()
    send(soap, symmetric(derived_keys=derived))
    tokens = 2 if derived in (DerivedKeys.EXPLICIT, DerivedKeys.EITHER) else 0
    assert order(soap).count("DerivedKeyToken") == tokens


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (DerivedKeys.NONE, DerivedKeys.EXPLICIT),
        (DerivedKeys.NONE, DerivedKeys.IMPLIED),
        (DerivedKeys.NONE, DerivedKeys.EITHER),
        (DerivedKeys.EXPLICIT, DerivedKeys.NONE),
        (DerivedKeys.EXPLICIT, DerivedKeys.IMPLIED),
        (DerivedKeys.IMPLIED, DerivedKeys.NONE),
        (DerivedKeys.IMPLIED, DerivedKeys.EXPLICIT),
    ],
)
def test_another_derivation_than_the_policys_is_refused(made: DerivedKeys, wanted: DerivedKeys) -> None:
    """Raw, explicit and implied keys are three things, and the policy says which."""
    refused(symmetric(derived_keys=made), symmetric(derived_keys=wanted), "derived-key")
    for token in (THUMBPRINT,):
        refused(
            with_certificate(token=replace(token, derived_keys=made)),
            with_certificate(token=replace(token, derived_keys=wanted)),
            "derived-key",
        )


def test_two_tokens_one_to_sign_and_one_to_encrypt() -> None:
    """A context signs and a certificate encrypts; the reverse would try ciphertexts of contexts for anybody."""
    conversation = SecureConversationToken(derived_keys=DerivedKeys.EXPLICIT)
    policy = symmetric()
    assert isinstance(policy.binding, SymmetricBinding)
    binding = replace(policy.binding, signature_token=conversation, encryption_token=THUMBPRINT)
    there_and_back(replace(policy, binding=binding))
    binding = replace(policy.binding, signature_token=THUMBPRINT, encryption_token=conversation)
    with pytest.raises(PolicyError, match="encrypts and does not sign"):
        send(message(), replace(policy, binding=binding))


def test_a_key_from_a_password_protects() -> None:
    """A UsernameToken as ProtectionToken: the key is made from the password, which is not sent."""
    token = UsernameToken(derived_keys=DerivedKeys.EXPLICIT)
    policy = with_certificate(token=token)
    soap = message()
    send(soap, policy)
    assert b"s3cret" not in etree.tostring(soap.envelope)
    verified = take(soap, policy)
    assert verified.signer is None
    ring = replace(keyrings()[1], password_of={"alice": "another"}.get)
    with pytest.raises(VerificationError) as caught:
        take(soap, policy, ring)
    assert caught.value.check == "signature"


def test_only_a_service_takes_a_key_that_comes_along() -> None:
    """Anybody could encrypt a key to a client and sign with it: the answer's key is that of the request."""
    policy = with_certificate()
    mine, theirs = keyrings(Direction.RESPONSE)
    soap = message()
    # what an attacker makes: a request's form, encrypted to the client
    protect(
        soap,
        policy,
        replace(mine, peer=theirs.decrypting.certificate if theirs.decrypting else None),
        environment(),
        direction=Direction.REQUEST,
    )
    with pytest.raises(VerificationError) as caught:
        unprotect(wire(soap), policy, theirs, environment())
    assert caught.value.check == "token"
    as_service = replace(theirs, role="client")
    unprotect(wire(soap), policy, as_service, environment())


def test_tls_is_needed_where_the_policy_leaves_security_to_it() -> None:
    """Without TLS nothing is sent under a TransportBinding, and nothing is taken."""
    policy = over_tls(username())
    soap = message()
    mine, theirs = keyrings()
    with pytest.raises(PolicyError):
        send(soap, policy, replace(mine, over_tls=False))
    send(soap, policy, mine)
    take(soap, policy, theirs)
    with pytest.raises(VerificationError) as caught:
        take(soap, policy, replace(theirs, over_tls=False))
    assert caught.value.check == "transport"


@pytest.mark.parametrize("derived", DERIVED)
@pytest.mark.parametrize("signed", [Parts(), Parts(headers=ADDRESSING), SIGNED])
def test_a_context_endorses_over_tls(derived: DerivedKeys, signed: Parts) -> None:
    """The context signs the Timestamp, and what the policy names besides; the answer has a Timestamp alone."""
    token = SecureConversationToken(derived_keys=derived)
    policy = over_tls(SupportingToken(token=token, endorsing=True, signed_parts=signed))
    request, reply = there_and_back(policy)
    assert request.context == context()
    assert request.endorsed_by == (context(),)
    assert reply.context is None
    soap = message()
    send(soap, policy)
    tokens = ["DerivedKeyToken"] if derived in (DerivedKeys.EXPLICIT, DerivedKeys.EITHER) else []
    assert order(soap) == ["Timestamp", "SecurityContextToken", *tokens, "Signature"]


def test_a_certificate_endorses_over_tls() -> None:
    """It signs the Timestamp and wsa:To, as WCF wants it."""
    policy = over_tls(ENDORSER)
    soap = message()
    send(soap, policy)
    references = [ref.get("URI") for ref in security(soap).iter(f"{{{DS}}}Reference")]
    to = next(block for block in soap.blocks() if str(block.tag).endswith("}To"))
    assert references[1:] == [f"#{to.get(f'{{{WSU}}}Id')}"]
    assert take(soap, policy).endorsers == (identity("client").certificate,)


def test_an_endorsement_over_tls_must_be_there() -> None:
    """A Timestamp that nobody signed proves nobody."""
    conversation = SupportingToken(token=SecureConversationToken(), endorsing=True)
    refused(over_tls(), over_tls(conversation), "endorsement")
    refused(over_tls(ENDORSER), over_tls(conversation), "endorsement")
    named = replace(conversation, signed_parts=Parts(headers=ADDRESSING))
    refused(over_tls(conversation), over_tls(named), "signed-parts")


def test_without_a_timestamp_an_endorsement_signs_what_the_policy_names() -> None:
    """Over TLS without a Timestamp there must be something to sign."""
    conversation = SupportingToken(token=SecureConversationToken(), endorsing=True)
    with pytest.raises(PolicyError, match="nothing to sign"):
        send(message(), over_tls(conversation, timestamp=False))
    named = replace(conversation, signed_parts=Parts(headers=ADDRESSING))
    there_and_back(over_tls(named, timestamp=False))
    refused(over_tls(timestamp=False), over_tls(named, timestamp=False), "endorsement")


# ------------------------------------------------------------------------------------- supporting tokens


FLAGS = [
    {"signed": signed, "encrypted": encrypted} for signed, encrypted in product([False, True], [False, True])
]
MAKE: list[Callable[..., SupportingToken]] = [
    username,
    lambda **f: username(PasswordForm.DIGEST, **f),
    lambda **f: username(PasswordForm.NONE, **f),
    lambda **f: supplied(LTPA, **f),
    lambda **f: supplied(SAML, **f),
    lambda **f: SupportingToken(token=X509Token(), **f),
    lambda **f: replace(ENDORSER, **f),
    lambda **f: replace(
        ENDORSER,
        token=X509Token(include=Include.ALWAYS_TO_RECIPIENT, token_type="WssX509PkiPathV1Token11"),
        **f,
    ),
]


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("base", [symmetric, asymmetric, with_certificate])
def test_every_supporting_token(
    base: Callable[..., Policy], make: Callable[..., SupportingToken], flags: dict[str, bool]
) -> None:
    """Every kind of token under every binding, signed or not, encrypted or not, is written and found."""
    entry = make(**flags)
    for before, hidden in product([False, True], [False, True]):
        policy = base(encrypt_before_signing=before, encrypt_signature=hidden, supporting=(entry,))
        request, _ = there_and_back(policy)
        if isinstance(entry.token, UsernameToken):
            (user,) = request.usernames
            assert user.username == "alice"
            assert user.matches("s3cret") == (entry.token.password is not PasswordForm.NONE)
            assert not user.matches("another")
        elif isinstance(entry.token, SuppliedToken):
            assert [token.kind for token in request.tokens] == list(entry.token.accepts)
        elif entry.endorsing:
            assert len(request.endorsers) == 1
        soap = message(headers=TICKETED)
        send(soap, policy)
        assert b"s3cret" not in etree.tostring(soap.envelope)


@pytest.mark.parametrize("make", MAKE)
@pytest.mark.parametrize("base", [symmetric, asymmetric, with_certificate])
def test_a_supporting_token_that_lacks_is_refused(
    base: Callable[..., Policy], make: Callable[..., SupportingToken]
) -> None:
    """A message without the token, or with less protection for it than the policy says, is refused."""
    check = "endorsement" if make().endorsing else "supporting-token"
    refused(base(), base(supporting=(make(),)), check)
    refused(base(supporting=(make(),)), base(supporting=(make(signed=True),)), "supporting-token")
    if make() != username():
        refused(base(supporting=(make(),)), base(supporting=(make(encrypted=True),)), "supporting-token")


def test_a_password_is_encrypted_where_the_policy_does_not_ask() -> None:
    """Password text never leaves in the clear, and none is taken that did."""
    policy = symmetric(supporting=(username(),))
    soap = message()
    send(soap, policy)
    assert "UsernameToken" not in order(soap)
    assert security(soap).find(f"{{{XENC}}}EncryptedData") is not None
    open_ = symmetric(supporting=(username(PasswordForm.NONE),))
    soap = message()
    send(soap, open_)
    assert "UsernameToken" in order(soap)


def test_one_token_does_not_stand_for_two() -> None:
    """Two endorsing tokens are two signatures."""
    refused(asymmetric(supporting=(ENDORSER,)), asymmetric(supporting=(ENDORSER, ENDORSER)), "endorsement")


def test_a_digest_is_taken_once() -> None:
    """A UsernameToken with a digest that comes again is a replay, though its message be another one."""
    policy = over_tls(username(PasswordForm.DIGEST))
    seen = SeenSignatures()
    soap = message()
    send(soap, policy)
    take(soap, policy, seen=seen)
    with pytest.raises(VerificationError) as caught:
        take(soap, policy, seen=seen)
    assert caught.value.check == "replay"


def test_the_form_of_a_password_is_the_policys() -> None:
    """Text is no digest, and nothing is neither."""
    forms = list(PasswordForm)
    for sent, wanted in product(forms, forms):
        if sent is not wanted:
            refused(over_tls(username(sent)), over_tls(username(wanted)), "username-token")


def test_ltpa_keeps_the_meaning_of_its_qname() -> None:
    """The ValueType is a QName: its prefix is declared wherever the token goes."""
    for flags in FLAGS:
        policy = asymmetric(supporting=(supplied(LTPA, **flags),))
        soap = message()
        send(soap, policy)
        (token,) = take(soap, policy).tokens
        assert token.kind == LTPA
        assert token.element.text == "bHRwYQ=="
        assert token.element.get("EncodingType") is None


# ------------------------------------------------------------------------------------------------ parts


@pytest.mark.parametrize("base", [symmetric, asymmetric, with_certificate])
@pytest.mark.parametrize(("before", "hidden"), list(product([False, True], [False, True])))
def test_parts_by_path(base: Callable[..., Policy], before: bool, hidden: bool) -> None:
    """Elements in the Body and header blocks are signed and encrypted by name, whole or inside."""
    text, echo, ticket = path("text"), path("echo", namespace="urn:test"), path("Ticket")
    cases = [
        (Parts(elements=(text,)), Parts()),
        (Parts(elements=(echo,)), Parts(elements=(text,))),
        (Parts(elements=(echo, ticket)), Parts(contents=(text,))),
        (SIGNED, Parts(elements=(ticket, text))),
        (SIGNED, Parts(body=True, elements=(text,), contents=(ticket,))),
        (SIGNED, Parts(elements=(echo, text))),
    ]
    for signed, encrypted in cases:
        policy = base(
            signed=signed, encrypted=encrypted, encrypt_before_signing=before, encrypt_signature=hidden
        )
        request, _ = there_and_back(policy)
        assert "secret" in "".join(map(str, request.soap.envelope.itertext()))


def test_a_path_may_hide_the_signature() -> None:
    """EncryptedElements that names ds:Signature is WebSphere's way of EncryptSignature."""
    policy = symmetric(encrypted=BODY | Parts(elements=(path("Signature", inside="Security"),)))
    soap = message()
    send(soap, policy)
    assert "Signature" not in order(soap)
    take(soap, policy)
    refused(symmetric(), policy, "encrypted-parts")
    there_and_back(policy)


def test_paths_into_the_security_header() -> None:
    """WebSphere signs Timestamp and UsernameToken by paths, and encrypts UsernameToken and Signature."""
    inside = [path(local, inside="Security") for local in ("Timestamp", "UsernameToken", "Signature")]
    policy = symmetric(
        supporting=(username(),),
        signed=SIGNED | Parts(elements=tuple(inside[:2])),
        encrypted=BODY | Parts(elements=tuple(inside[1:])),
    )
    soap = message()
    send(soap, policy)
    assert order(soap).count("EncryptedData") == 2
    request, _ = there_and_back(policy)
    assert any(element.tag == f"{{{WSSE}}}UsernameToken" for element in request.signed)


@pytest.mark.parametrize(
    ("sent", "wanted", "check"),
    [
        (SIGNED, SIGNED | Parts(elements=(path("Ticket"),)), "signed-parts"),
        (Parts(headers=ADDRESSING), Parts(headers=ADDRESSING, elements=(path("text"),)), "signed-parts"),
    ],
)
def test_a_path_that_is_not_signed_is_refused(sent: Parts, wanted: Parts, check: str) -> None:
    """Each element that a path names is under the signature, itself or with what is around it."""
    refused(symmetric(signed=sent), symmetric(signed=wanted), check)


def test_a_path_that_is_not_encrypted_is_refused() -> None:
    """An element in clear where the policy has it encrypted, or with its content alone, is refused."""
    text = path("text")
    whole, inner = Parts(elements=(text,)), Parts(contents=(text,))
    refused(symmetric(encrypted=Parts()), symmetric(encrypted=whole), "encrypted-parts")
    refused(symmetric(encrypted=Parts()), symmetric(encrypted=inner), "encrypted-parts")
    refused(symmetric(encrypted=inner), symmetric(encrypted=inner | whole), "encrypted-parts")
    both = Parts(body=True, elements=(text,), contents=(text,))
    refused(symmetric(encrypted=inner), symmetric(encrypted=both), "encrypted-parts")


def test_required_elements() -> None:
    """RequiredElements names what must be there."""
    policy = symmetric(required=Parts(elements=(path("Ticket"),)))
    there_and_back(policy)
    soap = message()
    with pytest.raises(Exception, match="demands an element"):
        send(soap, policy)
    send(soap := message(), symmetric())
    with pytest.raises(VerificationError) as caught:
        take(soap, policy)
    assert caught.value.check == "required-parts"


# ---------------------------------------------------------------------------------------- protected tokens


@pytest.mark.parametrize("base", [symmetric, asymmetric, with_certificate])
def test_protected_tokens(base: Callable[..., Policy]) -> None:
    """With ProtectTokens the signature covers the token of its key, and an endorsing signature covers its own."""
    policy = base(protect_tokens=True, supporting=(ENDORSER,))
    there_and_back(policy)
    refused(base(supporting=(ENDORSER,)), policy, "signed-parts")


# ------------------------------------------------------------------------------------------------- layout


def test_the_place_of_the_timestamp() -> None:
    """LaxTsFirst and LaxTsLast say where it stands, and it is looked for there."""
    first, last = symmetric(layout=Layout.LAX_TIMESTAMP_FIRST), symmetric(layout=Layout.LAX_TIMESTAMP_LAST)
    there_and_back(first)
    there_and_back(last)
    refused(first, last, "layout")
    refused(last, first, "layout")


def test_entire_headers_and_body() -> None:
    """A signature over a piece of the Body is none of a policy that signs entire parts only."""
    piece = Parts(elements=(path("text"),))
    policy = symmetric(signed=SIGNED | piece)
    whole = symmetric(signed=SIGNED, only_sign_entire_headers_and_body=True)
    refused(policy, whole, "signed-parts")
    there_and_back(
        symmetric(signed=SIGNED | Parts(elements=(path("Ticket"),)), only_sign_entire_headers_and_body=True)
    )
    with pytest.raises(PolicyError, match="entire headers"):
        send(message(), symmetric(signed=piece, only_sign_entire_headers_and_body=True))


def test_a_signature_over_nothing_is_not_made() -> None:
    """A policy that names nothing that is in the message leads to an error, not to an empty signature."""
    empty = symmetric(signed=Parts(elements=(path("absent"),)), include_timestamp=False)
    with pytest.raises(PolicyError, match="names nothing"):
        send(message(), empty)
    there_and_back(symmetric(signed=Parts(elements=(path("absent"),))))
