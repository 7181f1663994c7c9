"""Ways around a rule that holds elsewhere: by another reference, another place, another order, too many of a thing."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from lxml import etree

from tests.attacks.conftest import Refuses
from tests.attacks.forge import (
    NS,
    THEIRS,
    WSU_ID,
    Message,
    element,
    encrypted_data,
    rsa,
    sign_as,
)
from tests.attacks.test_bindings import genuine, signatures, take
from tests.unit.messages import (
    ASSERTION,
    ENDORSER,
    LTPA,
    SAML,
    TICKET,
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
from tests.unit.parties import CLIENT, NOW, Draft, environment, identity, trust
from zeep_secureconv import LimitExceeded, Limits
from zeep_secureconv.policy import DerivedKeys, Direction, Include, Parts, Policy
from zeep_secureconv.policy.model import (
    PasswordForm,
    ReferenceStyle,
    SuppliedToken,
    SupportingToken,
    X509Token,
)
from zeep_secureconv.policy.suites import HMAC_SHA1, SHA1
from zeep_secureconv.soap.envelope import Soap, parse, serialize
from zeep_secureconv.wss import encryption
from zeep_secureconv.wss.c14n import canonicalize
from zeep_secureconv.wss.credentials import LtpaToken, XmlToken, kind_of
from zeep_secureconv.wss.kdf import derive_key
from zeep_secureconv.wss.keys import Keyring
from zeep_secureconv.wss.protect import protect
from zeep_secureconv.wss.references import x509_reference
from zeep_secureconv.wss.seen import SeenSignatures
from zeep_secureconv.wss.signature import digest, mac
from zeep_secureconv.wss.unprotect import Verified, unprotect

REQUEST = Direction.REQUEST
INCLUDED = X509Token(include=Include.ALWAYS_TO_RECIPIENT)
CONTENT = '<e:echo xmlns:e="urn:test"><e:text>hello</e:text></e:echo>'
TICKETS = Parts(elements=(path("Ticket"),))
#: How a signature can name a certificate that is in the message.
FORMS = ["direct", "embedded", ReferenceStyle.THUMBPRINT, ReferenceStyle.ISSUER_SERIAL]


def _sent_at(policy: Policy, seconds: float) -> Message:
    """A request that was made some time after the others."""
    soap = message()
    now = NOW + timedelta(seconds=seconds)
    protect(soap, policy, keyrings()[0], environment(now=now), direction=REQUEST)
    return Message(serialize(soap.envelope))


def _taken_at(sent: Message, policy: Policy, seconds: float, seen: SeenSignatures) -> Verified:
    soap, now = Soap.of(parse(sent.bytes, Limits())), NOW + timedelta(seconds=seconds)
    return unprotect(soap, policy, keyrings()[1], environment(now=now), seen=seen)


def _with_its_key(policy: Policy, content: str = CONTENT) -> tuple[Message, bytes]:
    """(a request of a client who does what he likes, the key that he brings along)."""
    soap = message(content)
    sent = protect(soap, policy, keyrings()[0], environment(), direction=REQUEST)
    assert sent.ephemeral is not None
    return Message(serialize(soap.envelope)), sent.ephemeral.secret


def _list(sent: Message, *names: str) -> None:
    """Have the EncryptedKey of a message itself list what is encrypted."""
    listed = "".join(f'<xenc:DataReference URI="#{name}"/>' for name in names)
    key = sent.find("soap:Header/wsse:Security/xenc:EncryptedKey")
    key.append(element(f"<xenc:ReferenceList>{listed}</xenc:ReferenceList>"))


def _name_otherwise(sent: Message, target: etree._Element, form: str | ReferenceStyle) -> None:
    """After :func:`sign_as`, have the signature refer to its certificate in another form; nothing signs that."""
    token = sent.find(".//wsse:BinarySecurityToken[@wsu:Id='BST-evil']")
    if form == "embedded":
        reference = element(
            "<wsse:SecurityTokenReference><wsse:Embedded/></wsse:SecurityTokenReference>",
        )
        reference[0].append(token)
        target[2][:] = [reference]
    elif isinstance(form, ReferenceStyle):
        certificate = x509.load_der_x509_certificate(base64.b64decode(token.text or ""))
        target[2][:] = [element(x509_reference(form, certificate))]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The keys that anything is decrypted under meanwhile, whether it succeeds or not."""
    keys: list[bytes] = []
    decrypt = encryption.decrypt

    def spy(algorithm: str, key: bytes, data: bytes) -> bytes:
        keys.append(key)
        return decrypt(algorithm, key, data)

    monkeypatch.setattr(encryption, "decrypt", spy)
    return keys


# ------------------------------------------------------------------------------ by another reference


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("entry", [replace(ENDORSER, signed=True), replace(ENDORSER, encrypted=True)])
def test_another_endorser_by_another_reference(
    refuses: Refuses, form: str | ReferenceStyle, entry: SupportingToken
) -> None:
    """Who endorses with a token that is to be signed or encrypted is not exchanged, however a reference names it."""
    policy = with_certificate(supporting=(entry,))
    sent = genuine(policy)
    assert take(sent, policy).endorsers == (identity("client").certificate,)
    endorsing = signatures(sent)[1]
    sign_as(sent, identity("client2"), endorsing)
    _name_otherwise(sent, endorsing, form)
    with refuses("supporting-token"):
        take(sent, policy)


def test_another_endorser_whose_token_is_not_sent(refuses: Refuses) -> None:
    """A certificate that the service knows already does not stand for a token that is to be signed."""
    policy = with_certificate(supporting=(replace(ENDORSER, signed=True),))
    known = tuple(identity(name).certificate for name in ("client", "client2"))
    service = replace(keyrings()[1], signers=known)
    sent = genuine(policy)
    take(sent, policy, service)
    endorsing = signatures(sent)[1]
    sign_as(sent, identity("client2"), endorsing)
    _name_otherwise(sent, endorsing, ReferenceStyle.THUMBPRINT)
    sent.drop(sent.find(".//wsse:BinarySecurityToken[@wsu:Id='BST-evil']"))
    with refuses("supporting-token"):
        take(sent, policy, service)


@pytest.mark.parametrize("form", FORMS)
def test_another_certificate_of_the_same_key(refuses: Refuses, form: str | ReferenceStyle) -> None:
    """With ProtectTokens a signature does not pass to another holder, however a reference names the certificate."""
    policy = asymmetric(protect_tokens=True)
    sent = genuine(policy)
    assert take(sent, policy).signer == identity("client").certificate
    mallory = CLIENT.but(subject=((NameOID.COMMON_NAME, "mallory"),))
    # RSA signs the same octets to the same value: nothing changes but whose it seems to be
    value = sent.signature[1].text
    sign_as(sent, mallory.identity())
    assert base64.b64decode(sent.signature[1].text or "") == base64.b64decode(value or "")
    _name_otherwise(sent, sent.signature, form)
    take(sent, asymmetric())
    with refuses("signed-parts"):
        take(sent, policy)


# ------------------------------------------------------------------------------------ whose key it is


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("derived", [DerivedKeys.NONE, DerivedKeys.IMPLIED])
@pytest.mark.parametrize("spoilt", [False, True])
def test_a_foreign_contexts_ciphertext_is_not_tried(
    refuses: Refuses, tried: list[bytes], before: bool, derived: DerivedKeys, spoilt: bool
) -> None:
    """Who has a context of his own learns nothing of another's ciphertext, not even whether it decrypts."""
    policy = symmetric(derived_keys=derived, include=Include.NEVER, encrypt_before_signing=before)
    mine, service = keyrings()
    known = {one.identifier: one for one in (context(), THEIRS)}
    service = replace(service, context=None, lookup=lambda identifier, _: known.get(identifier))
    stolen = genuine(policy, replace(mine, context=THEIRS))
    assert take(stolen, policy, service).context == THEIRS
    own = genuine(policy, mine)
    take(own, policy, service)
    assert len(tried) == 2
    tried.clear()
    data = copy.deepcopy(stolen.find("soap:Body/xenc:EncryptedData"))
    (mark,) = own.body
    data.set("Id", mark.get("Id", ""))
    own.body.replace(mark, data)
    if spoilt:
        (value,) = data.iter(f"{{{NS['xenc']}}}CipherValue")
        octets = bytearray(base64.b64decode(value.text or ""))
        octets[-17] ^= 0x55  # the last of the padding
        value.text = base64.b64encode(octets).decode()
    if before:
        own.digest_again(own.body)
        own.sign_again(lambda octets: mac(HMAC_SHA1, _key_of_signature(own), octets))
    with refuses("context"):
        take(own, policy, service)
    assert tried == []


def _key_of_signature(sent: Message) -> bytes:
    """What a client signs with under his context: its key, or one by the Nonce on the reference to it."""
    (reference,) = sent.signature.iter(f"{{{NS['wsse']}}}SecurityTokenReference")
    nonce, length = (reference.get(f"{{{NS['wsc']}}}{name}") for name in ("Nonce", "Length"))
    if nonce is None:
        return context().secret
    return derive_key(context().secret, base64.b64decode(nonce), length=int(length or "32"))


def _under_the_key_itself(policy: Policy) -> Message:
    """A request whose Body is under the key that it brings, which lists that itself."""
    sent, key = _with_its_key(replace(policy, encrypted=Parts()))
    (child,) = sent.body
    sent.body.replace(child, encrypted_data(key[:16], etree.tostring(child), name="ED-own"))
    _list(sent, "ED-own")
    return sent


@pytest.mark.parametrize("derived", [DerivedKeys.EXPLICIT, DerivedKeys.IMPLIED])
def test_a_key_that_lists_what_it_encrypts_is_derived_from_too(
    refuses: Refuses, derived: DerivedKeys
) -> None:
    """Where the policy has keys derived, nothing is under the key itself, wherever the list of it stands."""
    raw = with_certificate()
    assert take(_under_the_key_itself(raw), raw).ephemeral is not None
    policy = with_certificate(token=X509Token(include=Include.NEVER, derived_keys=derived))
    take(genuine(policy), policy)
    with refuses("derived-key"):
        take(_under_the_key_itself(policy), policy)


def _list_apart(sent: Message) -> None:
    """Have the ReferenceList stand beside its EncryptedKey, which encrypted data names itself, as CXF does."""
    assert sent.all(".//xenc:EncryptedData/ds:KeyInfo//wsse:Reference")
    sent.find(".//xenc:EncryptedKey").addnext(sent.find(".//xenc:ReferenceList"))


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("entry", [username(), username(encrypted=True)])
def test_a_lifted_user_name(refuses: Refuses, entry: SupportingToken, apart: bool) -> None:
    """The encrypted password of one client does not serve in the message that another one signs."""
    policy = asymmetric(supporting=(entry,))
    stolen = genuine(policy)
    if apart:
        _list_apart(stolen)
    assert take(stolen, policy).usernames[0].username == "alice"
    bare = replace(policy, supporting=())
    own = genuine(bare, replace(keyrings()[0], signing=identity("client2"), tokens=()))
    assert take(own, bare).signer == identity("client2").certificate
    token = stolen.find("soap:Header/wsse:Security/xenc:EncryptedData")
    others = [one for one in stolen.all(".//xenc:DataReference") if one.get("URI") != f"#{token.get('Id')}"]
    stolen.drop(*others)
    lists = stolen.all("soap:Header/wsse:Security/xenc:ReferenceList")
    own.security[1:1] = [stolen.find("soap:Header/wsse:Security/xenc:EncryptedKey"), *lists, token]
    with refuses("context"):
        take(own, policy)


def test_a_derived_key_that_is_its_own_source(refuses: Refuses) -> None:
    """A DerivedKeyToken that names itself is refused, and does not go round for ever."""
    policy = symmetric(supporting=(username(signed=True, encrypted=True),))
    sent = genuine(policy)
    take(sent, policy)
    token = sent.all(".//wsc:DerivedKeyToken")[0]
    (reference,) = token.iter(f"{{{NS['wsse']}}}Reference")
    reference.set("URI", f"#{token.get(WSU_ID)}")
    with refuses("derived-key"):
        take(sent, policy)


# ---------------------------------------------------------------------------------- too much, too often


#: One prefix of a namespace; or two, so that whatever is put there makes a new tree of the message.
PREFIXES = [{"p": "urn:q"}, {"p": "urn:q", "q": "urn:q"}]


def _nested(sent: Message, key: bytes, prefixes: dict[str, str], *listed: str) -> None:
    """Add an EncryptedData with two others in it."""

    def ticket(name: str) -> etree._Element:
        plaintext = f'<t:Ticket xmlns:t="{TICKET}">{name}</t:Ticket>'
        return encrypted_data(key[:16], plaintext.encode(), name=name, kind="Element")

    outer = ticket("OUTER")
    wrapper = etree.SubElement(outer, "wrapper")
    wrapper.extend([ticket("INNER"), ticket("INNER2")])
    box = etree.SubElement(sent.header, "{urn:box}Box", nsmap=prefixes)
    box.append(outer)
    _list(sent, *listed)


@pytest.mark.parametrize("prefixes", PREFIXES)
def test_encrypted_data_inside_encrypted_data(prefixes: dict[str, str]) -> None:
    """What was decrypted inside a ciphertext leaves the message with that, and is nowhere reported."""
    policy = with_certificate(encrypted=TICKETS)
    for listed in (("OUTER",), ("INNER", "INNER2", "OUTER"), ("INNER2", "OUTER")):
        sent, key = _with_its_key(replace(policy, encrypted=Parts()))
        _nested(sent, key, prefixes, *listed)
        verified = take(sent, policy)
        (ticket,) = verified.decrypted
        assert ticket.text == "OUTER"
        assert ticket.getroottree().getroot() is verified.soap.envelope


@pytest.mark.parametrize("prefixes", PREFIXES)
@pytest.mark.parametrize("listed", [("OUTER", "INNER"), ("INNER", "OUTER", "INNER2")])
def test_encrypted_data_that_left_the_message(
    refuses: Refuses, listed: tuple[str, ...], prefixes: dict[str, str]
) -> None:
    """What was inside a ciphertext is not found any more once that was decrypted."""
    policy = with_certificate(encrypted=TICKETS)
    sent, key = _with_its_key(replace(policy, encrypted=Parts()))
    _nested(sent, key, prefixes, "OUTER")
    take(sent, policy)
    sent, key = _with_its_key(replace(policy, encrypted=Parts()))
    _nested(sent, key, prefixes, *listed)
    with refuses("reference"):
        take(sent, policy)


def test_too_many_encrypted_parts(refuses: Refuses) -> None:
    """Each costs a look at the whole message: they are counted over all lists together."""
    policy, most = with_certificate(encrypted=TICKETS), Limits().encrypted_parts

    def with_tickets(count: int) -> Message:
        sent, _ = _with_its_key(policy, f"<e:all xmlns:e='urn:test'>{TICKETED * count}</e:all>")
        whole = sent.find(".//xenc:ReferenceList")
        assert len(whole) == count
        half = element("<xenc:ReferenceList/>")
        half.extend(whole[: count // 2])
        whole.addnext(half)
        return sent

    assert len(take(with_tickets(most), policy).decrypted) == most
    with refuses("reference") as caught:
        take(with_tickets(most + 1), policy)
    assert isinstance(caught.value, LimitExceeded)


def test_one_part_signed_many_times(refuses: Refuses) -> None:
    """A signature that names a part again would have its digest computed again."""
    policy = asymmetric()
    sent = genuine(policy)
    take(sent.sign_again(rsa(identity("client"))), policy)
    reference = sent.signature[0][-1]
    reference.addnext(copy.deepcopy(reference))
    sent.sign_again(rsa(identity("client")))
    with refuses("signature-form"):
        take(sent, policy)


@pytest.mark.parametrize("policy", [over_tls(username(PasswordForm.DIGEST)), symmetric()])
@pytest.mark.parametrize("apart", [0, 1])
def test_what_the_memory_forgot_is_not_taken_again(refuses: Refuses, policy: Policy, apart: float) -> None:
    """Once the memory is full a message does not come again, though it be of the same second as what followed."""
    seen = SeenSignatures(2)
    made = [_sent_at(policy, number * apart) for number in range(3)]
    for number, sent in enumerate(made):
        _taken_at(sent, policy, number * apart, seen)
    with refuses("replay"):
        _taken_at(made[0], policy, 3, seen)
    _taken_at(_sent_at(policy, 3), policy, 3, seen)


# ---------------------------------------------------------------------------------- in another place


def test_a_security_header_inside_an_encrypted_one(refuses: Refuses) -> None:
    """A second wsse:Security does not come out of a wsse11:EncryptedHeader, where nobody would have checked it."""
    policy = with_certificate()

    def hiding(block: str) -> Message:
        sent, key = _with_its_key(policy)
        wrapper = element("<wsse11:EncryptedHeader/>")
        wrapper.append(encrypted_data(key[:16], block.encode(), name="ED-own", kind="Element"))
        sent.header.append(wrapper)
        _list(sent, "ED-own")
        return sent

    verified = take(hiding(TICKETED), policy)
    assert verified.soap.blocks()[-1].tag == f"{{{TICKET}}}Ticket"
    user = "<wsse:UsernameToken><wsse:Username>root</wsse:Username></wsse:UsernameToken>"
    evil = etree.tostring(element(f"<wsse:Security>{user}</wsse:Security>")).decode()
    with refuses("decryption"):
        take(hiding(evil), policy)


def test_an_ltpa_token_is_no_certificate(refuses: Refuses) -> None:
    """Both are a wsse:BinarySecurityToken; the one in front does not stand for the other, nor alone for it."""
    certificate, ltpa = SupportingToken(token=INCLUDED, signed=True), supplied(LTPA, signed=True)
    for sent_as in ((certificate, ltpa), (ltpa, certificate)):
        for wanted in (sent_as, sent_as[::-1]):
            sent = genuine(with_certificate(supporting=sent_as))
            (token,) = take(sent, with_certificate(supporting=wanted)).tokens
            assert token.kind == LTPA
    with refuses("supporting-token"):
        take(genuine(with_certificate(supporting=(ltpa,))), with_certificate(supporting=(certificate,)))


def test_an_ltpa_token_in_front_of_a_described_certificate() -> None:
    """A certificate that a signature describes is looked for among certificates alone."""
    policy = asymmetric(supporting=(supplied(LTPA, signed=True),))
    sent = genuine(policy)
    tokens = sent.all("soap:Header/wsse:Security/wsse:BinarySecurityToken")
    (ltpa,) = [token for token in tokens if kind_of(token) == LTPA]
    sent.security.insert(0, ltpa)
    take(sent, policy)
    client = identity("client").certificate
    sent.signature[2][:] = [element(x509_reference(ReferenceStyle.THUMBPRINT, client))]
    assert take(sent, policy).signer == client


def test_a_certificate_is_no_token_of_any_kind(refuses: Refuses) -> None:
    """Where the policy names no kind of token, the certificate of the signature is none nevertheless."""
    anything = SupportingToken(token=SuppliedToken(assertion="{urn:test}Token", accepts=frozenset()))
    sent = genuine(asymmetric(supporting=(supplied(LTPA),)))
    assert [token.kind for token in take(sent, asymmetric(supporting=(anything,))).tokens] == [LTPA]
    certificate = SupportingToken(token=INCLUDED)
    with refuses("supporting-token"):
        take(genuine(asymmetric(supporting=(certificate,))), asymmetric(supporting=(anything,)))


# ------------------------------------------------------------------------------------- whom it is from


def _endorse(sent: Message, endorser: str) -> None:
    """Sign over the primary signature of somebody else's message."""
    primary = signatures(sent)[0]
    own = copy.deepcopy(signatures(genuine(with_certificate(supporting=(ENDORSER,))))[1])
    own.set("Id", "SIG-evil")
    (reference,) = own.iter(f"{{{NS['ds']}}}Reference")
    reference.set("URI", f"#{primary.get('Id')}")
    (value,) = reference.iterchildren(f"{{{NS['ds']}}}DigestValue")
    value.text = base64.b64encode(digest(SHA1, canonicalize(primary))).decode()
    sent.security.append(own)
    sign_as(sent, identity(endorser), own)


@pytest.mark.parametrize("asked", [(), (ENDORSER,)])
@pytest.mark.parametrize("base", [symmetric, with_certificate, asymmetric])
def test_a_third_partys_endorsement(
    refuses: Refuses, base: Callable[..., Policy], asked: tuple[SupportingToken, ...]
) -> None:
    """Who gets hold of a message cannot make it his own by endorsing it, though his certificate be a good one."""
    policy = base(supporting=(username(signed=True, encrypted=True), *asked))
    sent = genuine(policy)
    assert len(take(sent, policy).endorsers) == len(asked)
    alone = genuine(replace(policy, supporting=policy.supporting[:1]))
    _endorse(alone, "client2")
    more = replace(policy, supporting=(*policy.supporting[:1], ENDORSER))
    assert take(alone, more).endorsers == (identity("client2").certificate,)
    _endorse(sent, "client2")
    with refuses("endorsement"):
        take(sent, policy)


@pytest.mark.parametrize("base", [over_tls, lambda *s: with_certificate(supporting=s)])
def test_a_self_signed_endorser(refuses: Refuses, base: Callable[..., Policy]) -> None:
    """A service that has nothing to judge certificates by takes none, even where its policy asks for one."""
    policy = base(username(), ENDORSER)
    service = keyrings()[1]
    assert service.trust == trust()
    assert take(genuine(policy), policy, service).endorsers == (identity("client").certificate,)
    fake = replace(keyrings()[0], signing=Draft(name="alice", ca=None).identity())
    with refuses("signer"):
        take(genuine(policy, fake), policy, replace(service, trust=None))


def test_endorsements_in_another_order(refuses: Refuses) -> None:
    """The one that covers what an endorsement is asked for is found wherever it stands; where none does, none is."""
    covers, plain = replace(ENDORSER, signed_parts=Parts(body=True)), ENDORSER

    def of(*entries: SupportingToken) -> Policy:
        return with_certificate(supporting=entries)

    for sent_as in ((covers, plain), (plain, covers)):
        for wanted in ((covers, plain), (plain, covers)):
            assert len(take(genuine(of(*sent_as)), of(*wanted)).endorsers) == 2
    with refuses("signed-parts"):
        take(genuine(of(plain, plain)), of(covers, plain))


# ------------------------------------------------------------------------------------ requests, answers


@pytest.mark.parametrize("version", ["xml", "ltpa"])
def test_a_function_is_asked_once_for_a_token(version: str) -> None:
    """The token that is judged is the one that is sent, and a user's function is called once for a message."""
    calls: list[str] = []

    def make() -> str:
        calls.append(f"value{len(calls)}")
        return ASSERTION.replace("_1", f"_{calls[-1]}") if version == "xml" else calls[-1]

    token = XmlToken(make, cache_key="k") if version == "xml" else LtpaToken(make, cache_key="k")
    policy = over_tls(supplied(SAML if version == "xml" else LTPA))
    sent = genuine(policy, replace(keyrings()[0], tokens=(token,)))
    assert calls == ["value0"]
    (received,) = take(sent, policy).tokens
    assert (received.element.get("ID") or received.element.text or "").endswith("value0")


def test_an_answer_over_tls_may_have_no_header(refuses: Refuses) -> None:
    """Supporting tokens are of requests: an answer without Timestamp has nothing to put into wsse:Security."""
    policy = over_tls(username(), timestamp=False)
    request = genuine(policy)
    take(request, policy)
    bare = message()
    of_client: Keyring = keyrings(Direction.RESPONSE)[1]
    answer = unprotect(Soap.of(parse(serialize(bare.envelope), Limits())), policy, of_client, environment())
    assert answer.usernames == ()
    request.drop(request.security)
    with refuses("security-header"):
        take(request, policy)
