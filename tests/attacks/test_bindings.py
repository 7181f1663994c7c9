"""Attacks on what bindings, endorsements and tokens promise, one test for each."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from lxml import etree

from tests.attacks.conftest import Refuses
from tests.attacks.embedded import Caller, Service
from tests.attacks.forge import NS, THEIRS, WSU_ID, Message, World, element, exchange, move, rsa, sign_as
from tests.unit.messages import (
    ADDRESSING,
    ENDORSER,
    LTPA,
    SAML,
    THUMBPRINT,
    TICKETED,
    asymmetric,
    context,
    keyrings,
    message,
    over_tls,
    path,
    supplied,
    symmetric,
    username,
    with_certificate,
)
from tests.unit.parties import CA, CLIENT, Draft, Time, environment, identity, rsa_key
from zeep_secureconv import Identity, Limits, VerificationError
from zeep_secureconv.conversation.policies import conversation_policy
from zeep_secureconv.names import PASSWORD_TYPE, SOAP11
from zeep_secureconv.policy import DerivedKeys, Direction, EndpointPolicy, Include, Parts, Policy
from zeep_secureconv.policy.model import (
    ElementPath,
    PasswordForm,
    SecureConversationToken,
    SupportingToken,
    SymmetricBinding,
    UsernameToken,
    X509Token,
)
from zeep_secureconv.policy.suites import HMAC_SHA1, RSA_SHA1, SHA1
from zeep_secureconv.soap.envelope import Soap, parse, serialize
from zeep_secureconv.wss import encryption
from zeep_secureconv.wss.c14n import canonicalize
from zeep_secureconv.wss.credentials import UsernameToken as Username
from zeep_secureconv.wss.credentials import kind_of
from zeep_secureconv.wss.kdf import derive_key
from zeep_secureconv.wss.keys import Keyring
from zeep_secureconv.wss.protect import protect
from zeep_secureconv.wss.seen import SeenSignatures
from zeep_secureconv.wss.signature import digest, mac
from zeep_secureconv.wss.unprotect import Verified, unprotect

REQUEST = Direction.REQUEST
MALLORY = Username("mallory", "of mallory")
CONVERSATION = SupportingToken(token=SecureConversationToken(), endorsing=True)
#: Somebody whom no CA knows.
STRANGER = Draft(name="CN=admin")
BASES: list[Callable[..., Policy]] = [symmetric, asymmetric, with_certificate]
#: A policy that has a header encrypted.
ENCRYPTED_TO = Parts(body=True, headers=(replace(ADDRESSING[0], name="To"),))


def genuine(policy: Policy, ring: Keyring | None = None) -> Message:
    """A request as an honest client, or one with other keys, makes it."""
    soap = message(headers=TICKETED)
    protect(soap, policy, ring or keyrings()[0], environment(), direction=REQUEST)
    return Message(serialize(soap.envelope))


def take(sent: Message, policy: Policy, ring: Keyring | None = None, **options: Any) -> Verified:
    """What the service makes of a request."""
    soap = Soap.of(parse(sent.bytes, Limits()))
    return unprotect(soap, policy, ring or keyrings()[1], environment(), **options)


def signatures(sent: Message) -> list[etree._Element]:
    """The signatures in the header, in their order."""
    return sent.all("soap:Header/wsse:Security/ds:Signature")


# ------------------------------------------------------------------------------- keys that come along


@pytest.mark.parametrize("derived", [DerivedKeys.NONE, DerivedKeys.EXPLICIT])
def test_a_client_takes_no_key_that_was_wrapped_to_it(refuses: Refuses, derived: DerivedKeys) -> None:
    """Anybody can encrypt a key to a client's certificate; an answer is under the key of the request and no other."""
    policy = with_certificate(token=X509Token(include=Include.NEVER, derived_keys=derived))
    mine, theirs = keyrings(Direction.RESPONSE)
    request = message()
    sent = protect(request, policy, keyrings()[0], environment(), direction=REQUEST)
    brought = take(Message(serialize(request.envelope)), policy).ephemeral
    client = replace(theirs, ephemeral=sent.ephemeral)
    honest = message()
    ring = replace(mine, ephemeral=brought)
    protect(honest, policy, ring, environment(), direction=Direction.RESPONSE)
    unprotect(Soap.of(parse(serialize(honest.envelope), Limits())), policy, client, environment())
    # what the attacker makes: the form of a request, encrypted to the client
    forged = message()
    ring = replace(mine, peer=identity("client").certificate)
    protect(forged, policy, ring, environment(), direction=REQUEST)
    with refuses("token"):
        unprotect(Soap.of(parse(serialize(forged.envelope), Limits())), policy, client, environment())


def test_content_under_another_key_than_the_signature(refuses: Refuses) -> None:
    """A password encrypted for the service by its user does not serve a message that somebody else made."""
    policy = with_certificate(supporting=(username(encrypted=True),))
    stolen = genuine(policy)
    take(stolen, policy)
    own = genuine(policy, replace(keyrings()[0], tokens=(MALLORY,)))
    (theirs,) = stolen.all("soap:Header/wsse:Security/xenc:EncryptedData")
    (mine,) = own.all("soap:Header/wsse:Security/xenc:EncryptedData")
    (key,) = stolen.all("soap:Header/wsse:Security/xenc:EncryptedKey")
    own.find(".//xenc:ReferenceList").append(
        element(f'<xenc:DataReference URI="#{theirs.get("Id")}"/>'),
    )
    own.drop(own.find(f".//xenc:DataReference[@URI='#{mine.get('Id')}']"))
    own.security.replace(mine, copy.deepcopy(theirs))
    own.security.insert(1, copy.deepcopy(key))
    with refuses("context"):
        take(own, policy)


def test_a_signature_over_somebody_elses_ciphertext(refuses: Refuses) -> None:
    """Where signing comes first, who signs a token must know it: a stolen one is not signed by covering it."""
    policy = asymmetric(supporting=(username(signed=True, encrypted=True),))
    stolen = genuine(policy)
    take(stolen, policy)
    # mallory may sign, but has no token of alice's: he covers alice's ciphertext
    mallory = replace(keyrings()[0], signing=identity("client2"), tokens=(MALLORY,))
    own = genuine(policy, mallory)
    take(own, policy)
    (theirs,) = stolen.all("soap:Header/wsse:Security/xenc:EncryptedData")
    (mine,) = own.all("soap:Header/wsse:Security/xenc:EncryptedData")
    (key,) = stolen.all("soap:Header/wsse:Security/xenc:EncryptedKey")
    alices = copy.deepcopy(key)
    for listed in alices.iter(f"{{{NS['xenc']}}}DataReference"):
        if listed.get("URI") != f"#{theirs.get('Id')}":
            listed.getparent().remove(listed)  # type: ignore[union-attr]
    own.security.replace(mine, copy.deepcopy(theirs))
    own.drop(own.find(f".//xenc:DataReference[@URI='#{mine.get('Id')}']"))
    own.security.append(alices)
    token = own.all(".//ds:Reference")[-1]
    data = own.find(f"soap:Header/wsse:Security/xenc:EncryptedData[@Id='{theirs.get('Id')}']")
    for reference in own.all(".//ds:Reference"):
        if not own.all(f".//*[@wsu:Id='{reference.get('URI', '')[1:]}']"):
            token = reference
    token.set("URI", f"#{data.get('Id')}")
    (value,) = token.iterchildren(f"{{{NS['ds']}}}DigestValue")
    value.text = _digest(data)
    own.sign_again(lambda octets: identity("client2").sign(octets, RSA_SHA1))
    with refuses("context"):
        take(own, policy)


def _digest(one: etree._Element) -> str:
    return base64.b64encode(digest(SHA1, canonicalize(one))).decode()


@pytest.mark.parametrize(
    "encrypted",
    [
        Parts(elements=(path("text"),)),
        Parts(elements=(path("echo"),)),
        Parts(contents=(path("text"),)),
        Parts(contents=(path("echo"),)),
        Parts(body=True),
    ],
)
def test_a_body_around_somebody_elses_ciphertext(refuses: Refuses, encrypted: Parts) -> None:
    """Where signing comes first, nobody gets another's secret read as his own by signing a Body around it."""
    policy = asymmetric(encrypted=encrypted)
    stolen = genuine(policy)
    take(stolen, policy)
    mallory = replace(keyrings()[0], signing=identity("client2"))
    take(genuine(policy, mallory), policy)
    own = genuine(replace(policy, encrypted=Parts()), mallory)
    own.body[:] = [copy.deepcopy(child) for child in stolen.body]
    for inner in own.body.iterdescendants():
        inner.attrib.pop(WSU_ID, None)
    own.digest_again(own.body)
    own.sign_again(rsa(identity("client2")))
    own.security.append(stolen.find("soap:Header/wsse:Security/xenc:EncryptedKey"))
    own.security.extend(stolen.all("soap:Header/wsse:Security/xenc:ReferenceList"))
    with refuses("protection-order"):
        take(own, policy)


def test_an_endorsement_of_somebody_elses_ciphertext(refuses: Refuses) -> None:
    """Who is to endorse a Body must know it, where signing comes first."""
    policy = with_certificate(supporting=(replace(ENDORSER, signed_parts=Parts(body=True)),))
    mallory = identity("client2")
    own = genuine(policy, replace(keyrings()[0], signing=mallory))
    assert take(own, policy).endorsers == (mallory.certificate,)
    sent = genuine(policy)
    endorsing = signatures(sent)[1]
    body = endorsing.find(f"ds:SignedInfo/ds:Reference[@URI='#{sent.body.get(WSU_ID)}']/ds:DigestValue", NS)
    assert body is not None
    body.text = _digest(sent.body)
    sent.security.insert(
        0, endorsing
    )  # in front of the list: its digests are compared before Body is decrypted
    sign_as(sent, mallory, endorsing)
    with refuses("protection-order"):
        take(sent, policy)


def test_one_secret_for_each_token(refuses: Refuses) -> None:
    """Where one token signs and another encrypts, what somebody else encrypted does not serve beside one's own."""
    policy = symmetric(supporting=(username(encrypted=True),))
    assert isinstance(policy.binding, SymmetricBinding)
    policy = replace(policy, binding=replace(policy.binding, encryption_token=THUMBPRINT))
    stolen, bare = genuine(policy), replace(policy, supporting=())
    assert take(stolen, policy).usernames[0].username == "alice"
    service = replace(keyrings()[1], lookup=lambda identifier, _: {THEIRS.identifier: THEIRS}.get(identifier))
    own = genuine(bare, replace(keyrings()[0], context=THEIRS, tokens=()))
    assert take(own, bare, service).context == THEIRS
    token = stolen.find("soap:Header/wsse:Security/xenc:EncryptedData")
    stolen.drop(
        *(one for one in stolen.all(".//xenc:DataReference") if one.get("URI") != f"#{token.get('Id')}")
    )
    lists = stolen.all("soap:Header/wsse:Security/xenc:ReferenceList")
    own.security[1:1] = [stolen.find("soap:Header/wsse:Security/xenc:EncryptedKey"), *lists, token]
    with refuses("context"):
        take(own, policy, service)


# ------------------------------------------------------------------------------------- endorsements


@pytest.mark.parametrize("base", BASES)
def test_an_endorsement_is_of_one_message(refuses: Refuses, base: Callable[..., Policy]) -> None:
    """The endorsing signature of one message says nothing of another."""
    policy = base(supporting=(ENDORSER,))
    one, other = genuine(policy), genuine(policy)
    take(one, policy)
    primary, endorsing = signatures(one)
    primary.set("Id", signatures(other)[0].get("Id", ""))  # which no signature covers
    info, value, _ = signatures(other)[1]
    endorsing[0], endorsing[1] = info, value
    with refuses("digest"):
        take(one, policy)


@pytest.mark.parametrize("base", BASES)
def test_nobody_endorses_who_was_not_asked(refuses: Refuses, base: Callable[..., Policy]) -> None:
    """Whoever sees a message could sign over its signature, and be taken for its sender."""
    policy = base(supporting=(username(signed=True, encrypted=True),))
    take(genuine(policy), policy)
    more = replace(policy, supporting=(*policy.supporting, ENDORSER))
    ring = keyrings()[0]
    endorsed = genuine(more, ring)
    assert take(endorsed, more).endorsers
    with refuses("endorsement"):
        take(endorsed, policy)


@pytest.mark.parametrize("policy", [over_tls(username()), with_certificate(supporting=(username(),))])
def test_a_service_without_trust_believes_no_certificate(refuses: Refuses, policy: Policy) -> None:
    """Where nothing says which certificates count, one that anybody made for himself does not."""
    trustless = replace(keyrings()[1], trust=None)
    take(genuine(policy), policy, trustless)
    more = replace(policy, supporting=(*policy.supporting, ENDORSER))
    endorsed = genuine(more, replace(keyrings()[0], signing=STRANGER.identity()))
    with refuses("signer"):
        take(endorsed, policy, trustless)


@pytest.mark.parametrize("length", [1, 2, 8])
def test_a_key_that_can_be_guessed_proves_nothing(refuses: Refuses, length: int) -> None:
    """Who does not know the context's key could guess one octet derived from it, and renew the context for himself."""
    bootstrap = with_certificate()
    asked = replace(bootstrap, supporting=(CONVERSATION,))
    endorsed = genuine(asked)
    assert take(endorsed, bootstrap).endorsed_by == (context(),)
    nonce = bytes(16)
    guessed = derive_key(context().secret, nonce, length=length)
    last = signatures(endorsed)[1]
    (reference,) = last.iter(f"{{{NS['wsse']}}}SecurityTokenReference")
    reference.set(f"{{{NS['wsc']}}}Nonce", base64.b64encode(nonce).decode())
    reference.set(f"{{{NS['wsc']}}}Length", str(length))
    last[1].text = base64.b64encode(mac(HMAC_SHA1, guessed, canonicalize(last[0]))).decode()
    with refuses("derived-key"):
        take(endorsed, bootstrap)


def test_an_endorsement_must_cover_what_it_endorses(refuses: Refuses) -> None:
    """A second signature by the right certificate over anything else is none."""
    policy = symmetric(supporting=(ENDORSER,))
    endorsed = genuine(policy)
    take(endorsed, policy)
    last = signatures(endorsed)[1]
    (reference,) = last.iter(f"{{{NS['ds']}}}Reference")
    reference.set("URI", f"#{endorsed.timestamp.get(WSU_ID)}")
    (value,) = reference.iterchildren(f"{{{NS['ds']}}}DigestValue")
    value.text = _digest(endorsed.timestamp)
    octets = identity("client").sign(canonicalize(last[0]), RSA_SHA1)
    last[1].text = base64.b64encode(octets).decode()
    with refuses("endorsement"):
        take(endorsed, policy)


# ------------------------------------------------------------------------------------- certificates


PATH = X509Token(include=Include.ALWAYS_TO_RECIPIENT, token_type="WssX509PkiPathV1Token11")


def _with_chain(end: Draft, *chain: Draft) -> Identity:
    return replace(end.identity(), chain=tuple(one.make() for one in chain))


def test_a_path_of_the_attackers_leads_nowhere(refuses: Refuses) -> None:
    """A chain that comes with a message is a way to an anchor, and no anchor itself."""
    policy = asymmetric(initiator=PATH)
    sub = Draft(name="sub", issuer=CA, ca=True, usage=frozenset({"key_cert_sign"}))
    honest = _with_chain(Draft(name="carol", issuer=sub), sub)
    take(genuine(policy, replace(keyrings()[0], signing=honest)), policy)
    own = Draft(name="ca", ca=True, usage=frozenset({"key_cert_sign"}), key=rsa_key("an attacker's own CA"))
    evil = _with_chain(Draft(name="carol", issuer=own), own)
    with refuses("certificate"):
        take(genuine(policy, replace(keyrings()[0], signing=evil)), policy)


def test_a_client_is_no_ca(refuses: Refuses) -> None:
    """A certificate that a client issued with its own leads to the CA, but not by a CA."""
    policy = asymmetric(initiator=PATH)
    take(genuine(policy), policy)
    evil = _with_chain(Draft(name="carol", issuer=CLIENT), CLIENT)
    with refuses("certificate"):
        take(genuine(policy, replace(keyrings()[0], signing=evil)), policy)


def test_the_end_of_the_path_is_who_signs(refuses: Refuses) -> None:
    """With somebody else's certificate at the end of the path, it is that one's key that must have signed."""
    policy = asymmetric(initiator=PATH)
    take(genuine(policy), policy)
    sent = genuine(policy, replace(keyrings()[0], signing=identity("client2")))
    take(sent, policy)
    alices = genuine(policy).find(".//wsse:BinarySecurityToken").text
    sent.find(".//wsse:BinarySecurityToken").text = alices
    with refuses("signature"):
        take(sent, policy)


# --------------------------------------------------------------------------------------------- parts


ABSOLUTE = ElementPath(xpath="/*/*[local-name()='Body']/*/*[local-name()='text']")


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("where", ["wrapper", "block", "security"])
def test_a_path_that_finds_nothing_proves_nothing(
    refuses: Refuses, base: Callable[..., Policy], where: str
) -> None:
    """What a path had signed is moved to where it does not find it: gone for the reader, but not for the signature."""
    policy = base(signed=Parts(elements=(ABSOLUTE,)), encrypted=Parts())
    take(genuine(policy), policy)
    sent = genuine(policy)
    target = sent.security if where == "security" else sent.header
    if where == "wrapper":
        target.append(element("<wrapper/>"))
        target = target[-1]
    move(sent.find("soap:Body/*/*"), target)
    with refuses("signed-parts"):
        take(sent, policy)


def _in(target: etree._Element, wrapper: str) -> etree._Element:
    target.append(element(wrapper))
    return target[-1]


#: Where nobody looks for a header, and its id still finds it.
OUT_OF_SIGHT: dict[str, Callable[[Message], etree._Element]] = {
    "a wrapper": lambda sent: _in(sent.header, "<wrapper/>"),
    "the security header": lambda sent: sent.security,
    "a wrapper in the security header": lambda sent: _in(sent.security, "<wrapper/>"),
    "the place of a token": lambda sent: _in(sent.header, "<wsse:Embedded/>"),
    "the place of a token in the security header": lambda sent: _in(sent.security, "<wsse:Embedded/>"),
    "the place of a token in the signature": lambda sent: _in(sent.signature[2], "<wsse:Embedded/>"),
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("where", OUT_OF_SIGHT)
def test_a_signed_header_does_not_go_away(refuses: Refuses, base: Callable[..., Policy], where: str) -> None:
    """A signed header left where no header stands would be as good as removed."""
    policy = base(signed=Parts(body=True, headers=ADDRESSING))
    take(genuine(policy), policy)
    sent = genuine(policy)
    move(sent.find("soap:Header/wsa:To"), OUT_OF_SIGHT[where](sent))
    with refuses("signed-parts"):
        take(sent, policy)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("where", OUT_OF_SIGHT)
def test_an_encrypted_header_does_not_go_away(
    refuses: Refuses, base: Callable[..., Policy], where: str
) -> None:
    """The same for one that is signed as ciphertext; nobody signs the list that asks for it to be decrypted."""
    policy = base(encrypted=ENCRYPTED_TO, encrypt_before_signing=True)
    assert take(genuine(policy), policy).addressing.to is not None
    sent = genuine(policy)
    hidden = sent.find("soap:Header/wsse11:EncryptedHeader")
    sent.drop(sent.find(f".//xenc:DataReference[@URI='#{hidden[0].get('Id')}']"))
    move(hidden, OUT_OF_SIGHT[where](sent))
    with refuses("signed-parts"):
        take(sent, policy)


@pytest.mark.parametrize("where", ["header", "the place of a token in the security header"])
def test_a_signed_ciphertext_does_not_go_away(refuses: Refuses, where: str) -> None:
    """Nor may it where the signature covers the ciphertext without the wsse11:EncryptedHeader around it."""
    policy = asymmetric(encrypted=ENCRYPTED_TO, encrypt_before_signing=True)

    def signed_inside() -> Message:
        sent = genuine(policy)
        wrapper = sent.find("soap:Header/wsse11:EncryptedHeader")
        reference = sent.reference_to(wrapper)
        reference.set("URI", f"#{wrapper[0].get('Id')}")
        value = base64.b64encode(digest(SHA1, canonicalize(wrapper[0]))).decode()
        sent.find(f".//ds:Reference[@URI='{reference.get('URI')}']/ds:DigestValue").text = value
        return sent.sign_again(rsa(identity("client")))

    assert take(signed_inside(), policy).addressing.to is not None
    sent = signed_inside()
    wrapper = sent.find("soap:Header/wsse11:EncryptedHeader")
    sent.drop(sent.find(f".//xenc:DataReference[@URI='#{wrapper[0].get('Id')}']"))
    move(wrapper[0], sent.header if where == "header" else OUT_OF_SIGHT[where](sent))
    sent.drop(wrapper)
    with refuses("signed-parts"):
        take(sent, policy)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("where", ["header", *sorted(OUT_OF_SIGHT.keys() - {"the security header"})])
def test_a_signed_time_does_not_go_away(refuses: Refuses, base: Callable[..., Policy], where: str) -> None:
    """Where the policy asks for none, a message is no younger because its Timestamp was put out of sight."""
    policy, asks_not = base(), base(include_timestamp=False)
    take(genuine(policy), asks_not)
    time = Time()
    time.forward(timedelta(hours=5))
    with refuses("timestamp"):
        _at(time, genuine(policy), asks_not)
    sent = genuine(policy)
    move(sent.timestamp, sent.header if where == "header" else OUT_OF_SIGHT[where](sent))
    with refuses("signed-parts"):
        _at(time, sent, asks_not)


@pytest.mark.parametrize("where", ["a wrapper", "the place of a token"])
def test_a_signed_token_does_not_go_away(refuses: Refuses, where: str) -> None:
    """A token is in the header of security, itself or in a reference; signed in another block it would be hidden."""
    certificate = SupportingToken(token=X509Token(include=Include.ALWAYS_TO_RECIPIENT), signed=True)
    policy, asks_not = symmetric(supporting=(certificate,)), symmetric()
    take(genuine(policy), asks_not)
    sent = genuine(policy)
    move(sent.find("soap:Header/wsse:Security/wsse:BinarySecurityToken"), OUT_OF_SIGHT[where](sent))
    with refuses("signed-parts"):
        take(sent, asks_not)


def _at(time: Time, sent: Message, policy: Policy) -> Verified:
    soap = Soap.of(parse(sent.bytes, Limits()))
    return unprotect(soap, policy, keyrings()[1], environment(time=time))


@pytest.mark.parametrize("base", BASES)
def test_what_nobody_decrypts_is_not_gone(refuses: Refuses, base: Callable[..., Policy]) -> None:
    """Taken from the list, an encrypted header or element would pass for one that was never there."""
    ticket = Parts(headers=(replace(ADDRESSING[0], name="To"),))
    for encrypted in (ticket, Parts(elements=(path("text"),))):
        for before in (False, True):
            policy = base(encrypted=encrypted, encrypt_before_signing=before, signed=Parts(body=True))
            take(genuine(policy), policy)
            sent = genuine(policy)
            sent.drop(*sent.all(".//xenc:DataReference"))
            soap = Soap.of(parse(sent.bytes, Limits()))
            with pytest.raises(VerificationError):
                unprotect(soap, policy, keyrings()[1], environment())
    with refuses("encryption-form"):
        take(sent, policy)


def test_a_signature_in_clear_is_not_what_a_path_hides(refuses: Refuses) -> None:
    """WebSphere hides signatures by a path: one in clear would tell what a hidden one does not."""
    hidden = path("Signature", inside="Security")
    policy = symmetric(encrypted=Parts(body=True, elements=(hidden,)))
    take(genuine(policy), policy)
    with refuses("encrypted-parts"):
        take(genuine(symmetric()), policy)


# --------------------------------------------------------------------------------------- derivations


@pytest.mark.parametrize(
    ("nonce", "length"),
    [("", "16"), ("AA==" * 1, "0"), ("AAAA", "65"), ("AAAA", "999999999"), ("A" * 172, "16"), ("AAAA", "-1")],
)
def test_what_a_reference_asks_to_be_derived_is_bounded(refuses: Refuses, nonce: str, length: str) -> None:
    """No empty and no endless nonce, no key of no length and none that is too long."""
    policy = symmetric(derived_keys=DerivedKeys.IMPLIED)
    take(genuine(policy), policy)
    sent = genuine(policy)
    reference = sent.find(".//ds:Signature/ds:KeyInfo/wsse:SecurityTokenReference")
    reference.set(f"{{{NS['wsc']}}}Nonce", nonce)
    reference.set(f"{{{NS['wsc']}}}Length", length)
    with refuses("derived-key"):
        take(sent, policy)


def test_a_certificate_gives_no_derived_key(refuses: Refuses) -> None:
    """A Nonce on a reference to a certificate makes no symmetric key out of something public."""
    policy = asymmetric()
    take(genuine(policy), policy)
    sent = genuine(policy)
    reference = sent.find(".//ds:Signature/ds:KeyInfo/wsse:SecurityTokenReference")
    reference.set(f"{{{NS['wsc']}}}Nonce", "AAAAAAAAAAAAAAAAAAAAAA==")
    with refuses("derived-key"):
        take(sent, policy)


def test_derived_keys_in_a_circle(refuses: Refuses) -> None:
    """A DerivedKeyToken that is derived from itself, or from one that is derived from it, is none."""
    policy = symmetric(supporting=(username(encrypted=True),))
    take(genuine(policy), policy)
    sent = genuine(policy)
    one, other = sent.all(".//wsc:DerivedKeyToken")
    for token, source in ((one, other), (other, one)):
        (reference,) = token.iter(f"{{{NS['wsse']}}}Reference")
        reference.set("URI", f"#{source.get(WSU_ID)}")
    with refuses("derived-key"):
        take(sent, policy)


@pytest.mark.parametrize("iterations", ["10001", "999999999", "0", "-1", "1e3", "9" * 30])
def test_the_work_of_a_password_key_is_bounded(refuses: Refuses, iterations: str) -> None:
    """The sender says how often a password is hashed; beyond a bound not even the user is looked up."""
    policy = with_certificate(token=UsernameToken(derived_keys=DerivedKeys.EXPLICIT))
    asked: list[str] = []

    def password_of(name: str) -> str:
        asked.append(name)
        return "s3cret"

    service = replace(keyrings()[1], password_of=password_of)
    take(genuine(policy), policy, service)
    assert asked == ["alice"]
    sent = genuine(policy)
    sent.find(".//wsse11:Iteration").text = iterations
    with refuses("username-token"):
        take(sent, policy, service)
    assert asked == ["alice"]


# -------------------------------------------------------------------------------------------- tokens


def test_a_binary_token_is_no_assertion(refuses: Refuses) -> None:
    """A ValueType that spells the name of an element does not make a wsse:BinarySecurityToken that element."""
    policy = asymmetric(supporting=(supplied(SAML, signed=True),))
    take(genuine(policy), policy)
    forged = f'<wsse:BinarySecurityToken ValueType="{SAML}">AAAA</wsse:BinarySecurityToken>'
    other = supplied("urn:any", signed=True)
    assert kind_of(element(forged)) == ""
    assert kind_of(element('<wsse:BinarySecurityToken ValueType="urn:any"/>')) in other.token.accepts  # type: ignore[union-attr]
    sent = genuine(policy)
    (assertion,) = sent.all("soap:Header/wsse:Security/*[local-name()='Assertion']")
    sent.security.replace(assertion, element(forged))
    with refuses("reference"):
        take(sent, policy)


@pytest.mark.parametrize("kind", [LTPA, SAML])
def test_a_supplied_token_is_no_key(refuses: Refuses, kind: str) -> None:
    """A token that is only carried gives no key: a signature that names it is refused."""
    policy = asymmetric(supporting=(supplied(kind, signed=True),))
    take(genuine(policy), policy)
    sent = genuine(policy)
    local = "Assertion" if kind == SAML else "BinarySecurityToken"
    (token,) = [
        one
        for one in sent.all(f"soap:Header/wsse:Security/*[local-name()='{local}']")
        if kind_of(one) == kind
    ]
    name = token.get("ID") or token.get(WSU_ID)
    sent.find(".//ds:Signature/ds:KeyInfo//wsse:Reference").set("URI", f"#{name}")
    with refuses("token"):
        take(sent, policy)


def test_a_digest_serves_one_message(refuses: Refuses) -> None:
    """A UsernameToken with a digest that was seen in one message does not open another one."""
    policy = with_certificate(supporting=(username(PasswordForm.DIGEST),))
    seen = SeenSignatures()
    one = genuine(policy)
    assert take(one, policy, seen=seen).usernames[0].matches("s3cret")
    other = genuine(policy, replace(keyrings()[0], tokens=(MALLORY,)))
    exchange(other.find(".//wsse:UsernameToken"), copy.deepcopy(one.find(".//wsse:UsernameToken")))
    assert take(other, policy).usernames[0].username == "alice"
    with refuses("replay"):
        take(other, policy, seen=seen)


class _Users:
    """Knows the password of alice."""

    def password(self, name: str) -> str | None:
        """The password of a user."""
        return {"alice": "s3cret"}.get(name)


def test_a_digest_serves_one_alternative(world: World) -> None:
    """Under another alternative of the policy it is the same token still."""
    published = tuple(
        EndpointPolicy(
            endpoint=symmetric(
                bootstrap=with_certificate(suite, supporting=(username(PasswordForm.DIGEST),))
            ),
            soap=SOAP11,
        )
        for suite in ("Basic128", "Basic256")
    )
    service = Service(world, published[0], authenticate=_Users(), alternatives=published)
    asked: list[Message] = []
    for policy in published:
        caller = Caller(service)
        caller.conversation = conversation_policy(policy)
        caller.ring = replace(caller.ring, tokens=(Username("alice", "s3cret"),))
        asked += [Message(serialize(caller.ask().soap.envelope)) for _ in range(2)]
    first, second, other, last = asked
    assert [service.post(sent).status for sent in (first, other)] == [200, 200]
    for sent in (second, last):
        exchange(sent.find(".//wsse:UsernameToken"), copy.deepcopy(first.find(".//wsse:UsernameToken")))
        assert service.post(sent).status == 500


def test_an_open_user_name_beside_the_signed_one(refuses: Refuses) -> None:
    """A UsernameToken that somebody put first does not pass for the signed one."""
    policy = symmetric(supporting=(username(PasswordForm.NONE, signed=True),))
    take(genuine(policy), policy)
    sent = genuine(policy)
    sent.security.insert(
        1, element("<wsse:UsernameToken><wsse:Username>root</wsse:Username></wsse:UsernameToken>")
    )
    with refuses("supporting-token"):
        take(sent, policy)


def test_a_password_in_clear_does_not_replace_an_encrypted_one(refuses: Refuses) -> None:
    """Where the password travels encrypted, one in clear is somebody else's."""
    policy = symmetric(supporting=(username(),))
    take(genuine(policy), policy)
    sent = genuine(policy)
    sent.security.insert(
        1,
        element(
            "<wsse:UsernameToken><wsse:Username>root</wsse:Username>"
            f'<wsse:Password Type="{PASSWORD_TYPE}#PasswordText">toor</wsse:Password></wsse:UsernameToken>'
        ),
    )
    with refuses("supporting-token"):
        take(sent, policy)


# --------------------------------------------------------------------------------------------- order


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plaintexts that are made meanwhile."""
    plaintexts: list[str] = []
    decrypt = encryption.decrypt

    def spy(algorithm: str, key: bytes, data: bytes) -> bytes:
        plaintext = decrypt(algorithm, key, data)
        plaintexts.append(plaintext.decode())
        return plaintext

    monkeypatch.setattr(encryption, "decrypt", spy)
    return plaintexts


def _spoil(one: etree._Element) -> None:
    octets = bytearray(base64.b64decode(one.text or ""))
    octets[0] ^= 1
    one.text = base64.b64encode(octets).decode()


@pytest.mark.parametrize("base", BASES)
def test_nothing_is_decrypted_before_the_signature_is_good(
    refuses: Refuses, opened: list[str], base: Callable[..., Policy]
) -> None:
    """Otherwise whoever changes a ciphertext could ask whether it still decrypts."""
    policy = base(supporting=(username(encrypted=True), ENDORSER))
    take(genuine(policy), policy)
    assert any("UsernameToken" in text for text in opened)
    for which in (0, 1):
        opened.clear()
        sent = genuine(policy)
        _spoil(signatures(sent)[which][1])
        with refuses("signature"):
            take(sent, policy)
        assert opened == []


@pytest.mark.parametrize("base", BASES)
def test_only_the_header_is_decrypted_to_find_a_hidden_signature(
    refuses: Refuses, opened: list[str], base: Callable[..., Policy]
) -> None:
    """Where signatures are hidden, they are looked for in the header; the Body waits until all of them are good."""
    policy = base(encrypt_signature=True, supporting=(ENDORSER,))
    take(genuine(policy), policy)
    assert any("hello" in text for text in opened)
    opened.clear()
    sent = genuine(policy)
    _spoil(signatures(sent)[0][1])  # that of the endorsement, which is in clear
    with refuses("signature"):
        take(sent, policy)
    assert not any("hello" in text for text in opened)


def test_one_good_signature_does_not_open_the_body_for_a_bad_one(refuses: Refuses, opened: list[str]) -> None:
    """A token that an endorsement needs is decrypted first, and nothing else before the endorsement is good."""
    hidden = SupportingToken(
        token=X509Token(include=Include.ALWAYS_TO_RECIPIENT), endorsing=True, encrypted=True
    )
    policy = symmetric(supporting=(hidden,))
    take(genuine(policy), policy)
    opened.clear()
    sent = genuine(policy)
    _spoil(signatures(sent)[1][1])
    with refuses("signature"):
        take(sent, policy)
    assert len(opened) == 1
    assert "BinarySecurityToken" in opened[0]


# ----------------------------------------------------------------------------------------------- TLS


def test_a_client_believes_no_answer_without_tls(refuses: Refuses) -> None:
    """Under a TransportBinding an answer that did not come over TLS proves nothing, whatever its Timestamp says."""
    policy = over_tls(CONVERSATION)
    mine, theirs = keyrings(Direction.RESPONSE)
    answer = message()
    protect(answer, policy, mine, environment(), direction=Direction.RESPONSE)
    octets = serialize(answer.envelope)
    unprotect(Soap.of(parse(octets, Limits())), policy, theirs, environment())
    with refuses("transport"):
        unprotect(Soap.of(parse(octets, Limits())), policy, replace(theirs, over_tls=False), environment())


def test_an_endorsement_over_tls_is_of_this_timestamp(refuses: Refuses) -> None:
    """The signature of an earlier message does not endorse a later Timestamp."""
    policy = over_tls(CONVERSATION)
    old, new = genuine(policy), genuine(over_tls())
    take(old, policy)
    for one in (*old.all("soap:Header/wsse:Security/wsc:*"), *signatures(old)):
        new.security.append(one)
    with refuses("reference"):
        take(new, policy)
