"""One thing changed in a message, under any policy: what an attacker can do to what he sees."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable

from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from tests.attacks.forge import element, wrap
from tests.attacks.generated import Case, Dice
from tests.unit.parties import Draft, identity
from zeep_secureconv.names import WSA_2005, WSSE, WSU, X509_V3, XENC
from zeep_secureconv.policy import suites
from zeep_secureconv.policy.model import Layout, Parts
from zeep_secureconv.soap.envelope import Soap
from zeep_secureconv.wss import signature
from zeep_secureconv.wss.c14n import canonicalize
from zeep_secureconv.wss.elements import select
from zeep_secureconv.wss.header import EMBEDDED, ENCRYPTED_DATA, ENCRYPTED_HEADER

_WSU_ID = f"{{{WSU}}}Id"
_URIS = sorted(
    {value for value in vars(suites).values() if isinstance(value, str) and value.startswith("http://")}
)
_WEAKER = (
    *_URIS,
    "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
    "http://www.w3.org/2000/09/xmldsig#enveloped-signature",
    "http://www.w3.org/TR/1999/REC-xpath-19991116",
    "urn:none",
    "",
)
#: A certificate of nobody's that anyone believes.
_STRANGER = Draft(name="stranger")


#: What stands in a header and gives keys, or names a user.
_TOKENS = (
    "BinarySecurityToken",
    "SecurityContextToken",
    "DerivedKeyToken",
    "EncryptedKey",
    "UsernameToken",
    "Assertion",
)
_USERS = ("Signature", "EncryptedData")


class Opened:
    """A message taken apart by an attacker.

    Args:
        case: the policy that it is under, which everybody knows.
        octets: the message.
    """

    def __init__(self, case: Case, octets: bytes) -> None:
        self.case = case
        self.envelope = etree.fromstring(octets)
        self.soap = Soap.of(self.envelope)
        assert self.soap.header is not None
        self.header = self.soap.header
        (self.security,) = [block for block in self.header if block.tag == f"{{{WSSE}}}Security"]

    def all(self, *locals_: str) -> list[etree._Element]:
        """Elements by their local names."""
        return [one for one in self.envelope.iter() if _local(one) in locals_]

    @property
    def signed_parts(self) -> Parts:
        """What the policy has signed, by the primary signature or one that endorses it."""
        parts = Parts() if self.case.over_tls else self.case.policy.signed
        if self.case.endorsed:
            for entry in self.case.policy.supporting:
                if entry.endorsing:
                    parts |= entry.signed_parts
        return parts

    def is_used(self, token: etree._Element) -> bool:
        """Whether anything is signed or encrypted with what a token of the header gives.

        A policy may name something to encrypt that the message does not have, and then its key is for nothing.
        """
        name = token.get(_WSU_ID) or token.get("Id") or token.get("ID")
        if _local(token) == "EncryptedKey" and list(token.iter(f"{{{XENC}}}DataReference")):
            return True
        for one in self.envelope.iter():
            if name is None or one.get("URI") != f"#{name}":
                continue
            holder = next((up for up in one.iterancestors() if _local(up) in (*_TOKENS, *_USERS)), None)
            if holder is not None and (_local(holder) in _USERS or self.is_used(holder)):
                return True
        return False

    @property
    def octets(self) -> bytes:
        """As it goes on."""
        return etree.tostring(self.envelope)


def _local(one: etree._Element) -> str:
    return etree.QName(one).localname if isinstance(one.tag, str) else ""


def _drop(one: etree._Element) -> None:
    parent = one.getparent()
    assert parent is not None
    parent.remove(one)


def _out_of_sight(message: Opened, one: etree._Element, dice: Dice) -> None:
    """Put an element where it can be found by its id, and nobody looks for it."""
    place = dice.choice([message.header, message.security])
    wrapper = etree.SubElement(place, dice.choice(["{urn:evil}wrapper", EMBEDDED]))
    wrapper.append(one)


def _octets(dice: Dice, count: int) -> bytes:
    return bytes(dice.randrange(256) for _ in range(count))


#: Makes a change; whether it must be refused: None where there was nothing to be changed, False where the change may
#: touch nothing that the policy protects, and the message must then prove what it proved before.
Change = Callable[[Opened, Dice], "bool | None"]


# ---------------------------------------------------------------------------------------- addressing


def _second_action(message: Opened, _dice: Dice) -> bool:
    message.header.append(element("<wsa:Action>urn:evil</wsa:Action>"))
    return True


def _new_header(local: str) -> Change:
    def change(message: Opened, _dice: Dice) -> bool:
        message.header.append(element(f"<wsa:{local}><wsa:Address>urn:evil</wsa:Address></wsa:{local}>"))
        there = [block for block in message.header if block.tag == f"{{{WSA_2005}}}{local}"]
        return len(there) > 1 or message.signed_parts.header(f"{{{WSA_2005}}}{local}")

    return change


def _header_of_a_signed_namespace(message: Opened, _dice: Dice) -> bool:
    message.header.insert(0, element("<wsa:ProblemAction>urn:evil</wsa:ProblemAction>"))
    return message.signed_parts.header(f"{{{WSA_2005}}}ProblemAction")


def _signed_blocks(message: Opened) -> list[etree._Element]:
    parts = message.signed_parts
    return [b for b in message.header if b is not message.security and parts.header(str(b.tag))]


def _header_removed(message: Opened, dice: Dice) -> bool | None:
    blocks = _signed_blocks(message)
    if not blocks:
        return None
    _drop(dice.choice(blocks))
    return True


def _header_moved(message: Opened, dice: Dice) -> bool | None:
    blocks = _signed_blocks(message)
    if not blocks:
        return None
    one = dice.choice(blocks)
    _out_of_sight(message, one, dice)
    return not _is_found(message, one)


def _header_changed(message: Opened, dice: Dice) -> bool | None:
    blocks = _signed_blocks(message)
    if not blocks:
        return None
    one = dice.choice(blocks)
    one.text = f"{one.text or ''}x"
    return one.tag not in (ENCRYPTED_DATA, ENCRYPTED_HEADER)  # around what is signed


# ----------------------------------------------------------------------------------------------- body


def _evil_body(message: Opened) -> etree._Element:
    body = etree.Element(message.soap.body.tag)
    body.append(element('<e:echo xmlns:e="urn:test"><e:text>evil</e:text></e:echo>'))
    return body


def _second_body(message: Opened, dice: Dice) -> bool:
    body = _evil_body(message)
    if dice.random() < 0.5:
        message.header.addnext(body)
    else:
        message.envelope.append(body)
    return True


def _body_moved(message: Opened, dice: Dice) -> bool:
    body, target = message.soap.body, dice.choice([message.header, message.security])
    wrapper = etree.SubElement(target, "{urn:evil}wrapper")
    wrapper.append(body)
    message.envelope.append(_evil_body(message))
    return message.signed_parts.body


def _body_changed(message: Opened, dice: Dice) -> bool:
    if dice.random() < 0.5:
        message.soap.body.append(element("<wsa:evil/>"))
    else:
        message.soap.body.set("{urn:evil}evil", "evil")
    return message.signed_parts.body


def _body_emptied(message: Opened, _dice: Dice) -> bool:
    del message.soap.body[:]
    return message.signed_parts.body


# ------------------------------------------------------------------------------------------ signatures


def _in_header(message: Opened, *locals_: str) -> list[etree._Element]:
    return [one for one in message.security if _local(one) in locals_]


def _signature_removed(message: Opened, dice: Dice) -> bool | None:
    found = _in_header(message, "Signature")
    if not found:
        return None
    _drop(dice.choice(found))
    return message.case.is_signed


def _signature_moved(message: Opened, dice: Dice) -> bool | None:
    found = _in_header(message, "Signature")
    if not found:
        return None
    _out_of_sight(message, dice.choice(found), dice)
    return message.case.is_signed


def _signature_elsewhere(message: Opened, dice: Dice) -> bool | None:
    found = _in_header(message, "Signature")
    if not found:
        return None
    message.security.insert(dice.randrange(len(message.security)), dice.choice(found))
    return False


def _signature_by_another(message: Opened, dice: Dice) -> bool | None:
    """The same SignedInfo, signed by the certificate of somebody whom nobody knows."""
    found = _in_header(message, "Signature")
    if not found:
        return None
    target, stranger = dice.choice(found), _STRANGER.identity()
    der = base64.b64encode(stranger.certificate.public_bytes(Encoding.DER)).decode()
    token = element(
        f'<wsse:BinarySecurityToken wsu:Id="evil" ValueType="{X509_V3}">{der}</wsse:BinarySecurityToken>'
    )
    target.addprevious(token)
    info, value, key_info = target
    algorithm = message.case.binding.algorithm_suite.asymmetric_signature
    info[1].set("Algorithm", algorithm)
    key_info[:] = [
        element('<wsse:SecurityTokenReference><wsse:Reference URI="#evil"/></wsse:SecurityTokenReference>')
    ]
    value.text = base64.b64encode(stranger.sign(canonicalize(info), algorithm)).decode()
    return message.case.is_signed


def _signature_added(message: Opened, dice: Dice) -> bool | None:
    """One more over the first, by somebody whom everybody knows."""
    found = _in_header(message, "Signature")
    if not found:
        return None
    first, other = found[0], identity("client2")
    suite = message.case.binding.algorithm_suite
    der = base64.b64encode(other.certificate.public_bytes(Encoding.DER)).decode()
    digest = base64.b64encode(signature.digest(suite.digest, canonicalize(first))).decode()
    c14n = suite.canonicalization
    target = element(
        f'<ds:Signature><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="{c14n}"/>'
        f'<ds:SignatureMethod Algorithm="{suite.asymmetric_signature}"/><ds:Reference URI="#{first.get("Id")}">'
        f'<ds:Transforms><ds:Transform Algorithm="{c14n}"/></ds:Transforms><ds:DigestMethod '
        f'Algorithm="{suite.digest}"/><ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>'
        "<ds:SignatureValue/><ds:KeyInfo><wsse:SecurityTokenReference><wsse:Embedded>"
        f'<wsse:BinarySecurityToken ValueType="{X509_V3}">{der}</wsse:BinarySecurityToken></wsse:Embedded>'
        "</wsse:SecurityTokenReference></ds:KeyInfo></ds:Signature>"
    )
    if dice.random() < 0.5:
        first.addprevious(target)
    else:
        message.security.append(target)
    target[1].text = base64.b64encode(
        other.sign(canonicalize(target[0]), suite.asymmetric_signature)
    ).decode()
    return False


def _key_switched(message: Opened, dice: Dice) -> bool | None:
    """A reference to a token becomes one to another token."""
    found = message.all("SecurityTokenReference")
    if len(found) < 2:
        return None
    one, other = dice.sample(found, 2)
    parent = one.getparent()
    assert parent is not None
    if other in list(one.iter()) or one in list(other.iter()):
        return None
    parent.replace(one, copy.deepcopy(other))
    return False


def _value_changed(message: Opened, dice: Dice) -> bool | None:
    found = message.all("SignatureValue", "DigestValue", "CipherValue")
    found = [one for one in found if one.text]
    if not found:
        return None
    one = dice.choice(found)
    octets = bytearray(base64.b64decode(one.text or ""))
    octets[dice.randrange(len(octets))] ^= 1 << dice.randrange(8)
    one.text = base64.b64encode(octets).decode()
    return _local(one) != "CipherValue"


def _confirmation_removed(message: Opened, dice: Dice) -> bool | None:
    found = _in_header(message, "SignatureConfirmation")
    if not found or message.case.over_tls:
        return None
    _drop(dice.choice(found))
    return True


def _confirmation_changed(message: Opened, dice: Dice) -> bool | None:
    found = _in_header(message, "SignatureConfirmation")
    if not found or message.case.over_tls:
        return None
    dice.choice(found).set("Value", "AAAA")
    return True


def _confirmation_added(message: Opened, _dice: Dice) -> bool:
    message.security.append(element('<wsse11:SignatureConfirmation Value="AAAA"/>'))
    case = message.case
    return not case.is_request and not case.over_tls and case.policy.confirms_signatures


# ----------------------------------------------------------------------------------------------- times


def _stamp(message: Opened) -> etree._Element | None:
    return next(iter(_in_header(message, "Timestamp")), None)


def _timestamp_removed(message: Opened, _dice: Dice) -> bool | None:
    stamp = _stamp(message)
    if stamp is None:
        return None
    _drop(stamp)
    return message.case.binding.include_timestamp


def _timestamp_moved(message: Opened, dice: Dice) -> bool | None:
    stamp = _stamp(message)
    if stamp is None:
        return None
    if dice.random() < 0.5:
        _out_of_sight(message, stamp, dice)
        return True
    before = message.security.index(stamp)
    place = dice.choice([0, len(message.security) - 1])
    message.security.insert(place, stamp)
    wanted = {Layout.LAX_TIMESTAMP_FIRST: 0, Layout.LAX_TIMESTAMP_LAST: len(message.security) - 1}
    layout = message.case.binding.layout
    # TLS has no layout to speak of: nothing is between the parties
    return before != message.security.index(stamp) and layout in wanted


def _timestamp_changed(message: Opened, dice: Dice) -> bool | None:
    stamp = _stamp(message)
    if stamp is None:
        return None
    dice.choice(list(stamp)).text = "2026-11-21T12:00:01.000Z"
    return message.case.is_signed


def _timestamp_doubled(message: Opened, _dice: Dice) -> bool | None:
    stamp = _stamp(message)
    if stamp is None:
        return None
    other = copy.deepcopy(stamp)
    other.attrib.clear()
    stamp.addnext(other)
    return True


# --------------------------------------------------------------------------------------------- tokens


def _token_removed(message: Opened, dice: Dice) -> bool | None:
    found = _in_header(message, *_TOKENS)
    if not found:
        return None
    one = dice.choice(found)
    used = message.is_used(one)
    _drop(one)
    return used


def _token_doubled(message: Opened, dice: Dice) -> bool | None:
    found = _in_header(message, *_TOKENS)
    if not found:
        return None
    one = dice.choice(found)
    one.addnext(copy.deepcopy(one))
    return one.get(_WSU_ID) is not None


def _token_of_another(message: Opened, dice: Dice) -> bool | None:
    """Somebody else's certificate, name or context where ours stood, under the same id."""
    found = _in_header(message, "BinarySecurityToken", "SecurityContextToken", "UsernameToken")
    if not found:
        return None
    one = dice.choice(found)
    if _local(one) == "BinarySecurityToken":
        one.text = base64.b64encode(_STRANGER.make().public_bytes(Encoding.DER)).decode()
    for what in (*one.findall("{*}Identifier"), *one.findall("{*}Username")):
        what.text = "mallory"
    # a certificate that nothing is signed or encrypted with is one more token, which need not be signed
    return False


def _username_in_clear(message: Opened, dice: Dice) -> bool:
    token = element(
        "<wsse:UsernameToken><wsse:Username>mallory</wsse:Username><wsse:Password>x</wsse:Password></wsse:UsernameToken>"
    )
    message.security.insert(dice.randint(0, len(message.security)), token)
    return False


def _derivation_changed(message: Opened, dice: Dice) -> bool | None:
    found = message.all("DerivedKeyToken")
    if not found:
        return None
    one = dice.choice(found)
    children = {_local(child): child for child in one}
    what = dice.choice(["Nonce", "Offset", "Length", "Label", "Generation"])
    wsc = etree.QName(one).namespace
    if what not in children:
        etree.SubElement(one, f"{{{wsc}}}{what}").text = "1"
    elif what == "Nonce":
        children[what].text = base64.b64encode(_octets(dice, 16)).decode()
    else:
        children[what].text = dice.choice(["1", "8", "20", "64"])
    return message.is_used(one)


def _implied_nonce_changed(message: Opened, dice: Dice) -> bool | None:
    found = [
        one for one in message.all("SecurityTokenReference") if any("Nonce" in str(a) for a in one.attrib)
    ]
    if not found:
        return None
    one = dice.choice(found)
    name = next(str(a) for a in one.attrib if "Nonce" in str(a))
    if dice.random() < 0.3:
        del one.attrib[name]
    else:
        one.set(name, dice.choice([base64.b64encode(_octets(dice, 16)).decode(), "", "!"]))
    return True


# ----------------------------------------------------------------------------------------- encryption


def _data_exchanged(message: Opened, dice: Dice) -> bool | None:
    found = message.all("EncryptedData")
    if len(found) < 2:
        return None
    one, other = dice.sample(found, 2)
    if one in list(other.iter()) or other in list(one.iter()):
        return None
    place, elsewhere = one.getparent(), other.getparent()
    assert place is not None
    assert elsewhere is not None
    first, second = copy.deepcopy(one), copy.deepcopy(other)
    place.replace(one, second)
    elsewhere.replace(other, first)
    return False


def _ciphers_exchanged(message: Opened, dice: Dice) -> bool | None:
    found = [one for data in message.all("EncryptedData") for one in data.iter(f"{{{XENC}}}CipherValue")]
    if len(found) < 2:
        return None
    one, other = dice.sample(found, 2)
    one.text, other.text = other.text, one.text
    return False


def _encrypted_header_moved(message: Opened, dice: Dice) -> bool | None:
    """Signed as it is, where no header block is, and nothing asks for it to be decrypted."""
    found = [block for block in message.header if block.tag == ENCRYPTED_HEADER]
    if not found:
        return None
    one = dice.choice(found)
    names = {f"#{data.get('Id')}" for data in one}
    if dice.random() < 0.5:
        _out_of_sight(message, one, dice)
    else:
        message.security.insert(dice.randint(0, len(message.security)), one)
    for listed in list(message.envelope.iter(f"{{{XENC}}}DataReference")):
        if listed.get("URI") in names:
            _drop(listed)
    return False


def _list_emptied(message: Opened, dice: Dice) -> bool | None:
    found = [one for one in message.all("ReferenceList") if len(one)]
    if not found:
        return None
    del dice.choice(found)[:]
    return True


def _list_added(message: Opened, dice: Dice) -> bool | None:
    """Something that is not encrypted, or is listed already, is listed."""
    found = message.all("ReferenceList")
    if not found:
        return None
    names = [one.get(_WSU_ID) or one.get("Id") for one in message.envelope.iter()]
    name = dice.choice([name for name in names if name])
    etree.SubElement(dice.choice(found), f"{{{XENC}}}DataReference").set("URI", f"#{name}")
    return False


def _key_of_the_attacker(message: Opened, dice: Dice) -> bool | None:
    found = message.all("EncryptedKey")
    if not found:
        return None
    key = dice.choice(found)
    (value,) = key.iter(f"{{{XENC}}}CipherValue")
    reader = identity("server" if message.case.is_request else "client")
    suite = message.case.binding.algorithm_suite
    if suite.asymmetric_key_wrap == suites.RSA_15:
        return None
    value.text = base64.b64encode(wrap(reader, _octets(dice, suite.encryption_key_length))).decode()
    return message.is_used(key)


# ---------------------------------------------------------------------------------------------- paths


def _by_path(message: Opened) -> list[etree._Element]:
    found = select(message.signed_parts.elements, message.envelope)
    return [one for one in found if one.getparent() is not message.security]


def _is_found(message: Opened, one: etree._Element) -> bool:
    """Whether a path still finds what was moved: one that says nothing of the place has it wherever it is."""
    return any(one is other for other in _by_path(message))


def _path_moved(message: Opened, dice: Dice) -> bool | None:
    """What a path of the policy names, where no path finds it."""
    found = _by_path(message)
    if not found:
        return None
    one = dice.choice(found)
    if one is message.soap.body or one is message.header or message.security in one.iter():
        return None
    _out_of_sight(message, one, dice)
    return not _is_found(message, one)


def _path_doubled(message: Opened, dice: Dice) -> bool | None:
    """A second one that nobody signed."""
    found = _by_path(message)
    if not found:
        return None
    one = dice.choice(found)
    other = copy.deepcopy(one)
    for inner in other.iter():
        for name in (_WSU_ID, "Id", "ID"):
            inner.attrib.pop(name, None)
    other.text = "evil"
    one.addnext(other)
    return _is_found(message, other)


# -------------------------------------------------------------------------------------- names and such


def _algorithm_exchanged(message: Opened, dice: Dice) -> bool | None:
    found = [one for one in message.security.iter() if one.get("Algorithm") is not None]
    found += list(message.soap.body.iter(f"{{{XENC}}}EncryptionMethod"))
    if not found:
        return None
    one = dice.choice(found)
    one.set("Algorithm", dice.choice([uri for uri in _WEAKER if uri != one.get("Algorithm")]))
    return message.case.is_signed


def _id_doubled(message: Opened, dice: Dice) -> bool | None:
    names = [one.get(_WSU_ID) for one in message.envelope.iter()]
    names = [name for name in names if name]
    if not names:
        return None
    block = etree.SubElement(message.header, "{urn:evil}block")
    block.set(_WSU_ID, dice.choice(names) or "")
    return True


def _unsigned_block(message: Opened, _dice: Dice) -> bool:
    etree.SubElement(message.header, "{urn:evil}block").text = "evil"
    return message.signed_parts.header("{urn:evil}block")


def _second_security(message: Opened, dice: Dice) -> bool:
    other = etree.Element(message.security.tag)
    if dice.random() < 0.5:
        message.security.addprevious(other)
    else:
        message.security.addnext(other)
    return True


def _security_removed(message: Opened, _dice: Dice) -> bool:
    _drop(message.security)
    return message.case.is_signed or message.case.binding.include_timestamp


CHANGES: dict[str, Change] = {
    "second Action": _second_action,
    "new FaultTo": _new_header("FaultTo"),
    "new ReplyTo": _new_header("ReplyTo"),
    "new From": _new_header("From"),
    "header of a signed namespace": _header_of_a_signed_namespace,
    "header removed": _header_removed,
    "header moved": _header_moved,
    "header changed": _header_changed,
    "unsigned header": _unsigned_block,
    "second Body": _second_body,
    "Body moved": _body_moved,
    "Body changed": _body_changed,
    "Body emptied": _body_emptied,
    "Signature removed": _signature_removed,
    "Signature moved": _signature_moved,
    "Signature elsewhere": _signature_elsewhere,
    "Signature by another": _signature_by_another,
    "Signature added": _signature_added,
    "KeyInfo switched": _key_switched,
    "value changed": _value_changed,
    "SignatureConfirmation removed": _confirmation_removed,
    "SignatureConfirmation changed": _confirmation_changed,
    "SignatureConfirmation added": _confirmation_added,
    "Timestamp removed": _timestamp_removed,
    "Timestamp moved": _timestamp_moved,
    "Timestamp changed": _timestamp_changed,
    "Timestamp doubled": _timestamp_doubled,
    "token removed": _token_removed,
    "token doubled": _token_doubled,
    "token of another": _token_of_another,
    "UsernameToken in clear": _username_in_clear,
    "DerivedKeyToken changed": _derivation_changed,
    "implied Nonce changed": _implied_nonce_changed,
    "EncryptedData exchanged": _data_exchanged,
    "ciphertext exchanged": _ciphers_exchanged,
    "EncryptedHeader moved": _encrypted_header_moved,
    "ReferenceList emptied": _list_emptied,
    "ReferenceList added to": _list_added,
    "EncryptedKey of the attacker": _key_of_the_attacker,
    "path moved": _path_moved,
    "path doubled": _path_doubled,
    "Algorithm exchanged": _algorithm_exchanged,
    "id doubled": _id_doubled,
    "second Security": _second_security,
    "Security removed": _security_removed,
}
