"""WS-Security: makes and checks one message. Knows nothing of WS-Trust.

:func:`~zeep_secureconv.wss.protect.protect` and :func:`~zeep_secureconv.wss.unprotect.unprotect` are the only places
of the library that sign, encrypt, verify or decrypt a message.
"""
