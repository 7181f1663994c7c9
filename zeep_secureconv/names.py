"""Namespaces, element names and algorithm URIs of the standards, in one place."""

from __future__ import annotations

SOAP11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP12 = "http://www.w3.org/2003/05/soap-envelope"

WSA_2004 = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSA_2005 = "http://www.w3.org/2005/08/addressing"

WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
WSSE11 = "http://docs.oasis-open.org/wss/oasis-wss-wssecurity-secext-1.1.xsd"
DS = "http://www.w3.org/2000/09/xmldsig#"
XENC = "http://www.w3.org/2001/04/xmlenc#"
XENC11 = "http://www.w3.org/2009/xmlenc11#"
DSIG_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
EXC_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"

WSP_2004 = "http://schemas.xmlsoap.org/ws/2004/09/policy"
WSP_W3C = "http://www.w3.org/ns/ws-policy"
SP_2005 = "http://schemas.xmlsoap.org/ws/2005/07/securitypolicy"
SP_200512 = "http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200512"
SP_200702 = "http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200702"
SP_200802 = "http://docs.oasis-open.org/ws-sx/ws-securitypolicy/200802"
WSAM = "http://www.w3.org/2007/05/addressing/metadata"

WSDL = "http://schemas.xmlsoap.org/wsdl/"
WSDL_SOAP11 = "http://schemas.xmlsoap.org/wsdl/soap/"
WSDL_SOAP12 = "http://schemas.xmlsoap.org/wsdl/soap12/"
XSI = "http://www.w3.org/2001/XMLSchema-instance"

WST_2005 = "http://schemas.xmlsoap.org/ws/2005/02/trust"
WST_200512 = "http://docs.oasis-open.org/ws-sx/ws-trust/200512"
WSC_2005 = "http://schemas.xmlsoap.org/ws/2005/02/sc"
WSC_200512 = "http://docs.oasis-open.org/ws-sx/ws-secureconversation/200512"

#: The generation of WS-SecureConversation that belongs to each generation of WS-Trust.
WSC_OF_WST = {WST_2005: WSC_2005, WST_200512: WSC_200512}

_X509_PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-x509-token-profile-1.0"
_SOAP_SECURITY_10 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0"
_SOAP_SECURITY_11 = "http://docs.oasis-open.org/wss/oasis-wss-soap-message-security-1.1"

PASSWORD_TYPE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"
USERNAME_TOKEN = f"{PASSWORD_TYPE}#UsernameToken"

BASE64_BINARY = f"{_SOAP_SECURITY_10}#Base64Binary"
X509_V3 = f"{_X509_PROFILE}#X509v3"
X509_PKI_PATH = f"{_X509_PROFILE}#X509PKIPathv1"
X509_SKI = f"{_X509_PROFILE}#X509SubjectKeyIdentifier"
X509_THUMBPRINT = f"{_SOAP_SECURITY_11}#ThumbprintSHA1"
ENCRYPTED_KEY_TYPE = f"{_SOAP_SECURITY_11}#EncryptedKey"
ENCRYPTED_KEY_SHA1 = f"{_SOAP_SECURITY_11}#EncryptedKeySHA1"

XENC_CONTENT = f"{XENC}Content"
XENC_ELEMENT = f"{XENC}Element"


def sct_type(wsc: str) -> str:
    """The token type of a SecurityContextToken in the generation *wsc*."""
    return f"{wsc}/sct"


def dk_type(wsc: str) -> str:
    """The token type of a DerivedKeyToken in the generation *wsc*."""
    return f"{wsc}/dk"
