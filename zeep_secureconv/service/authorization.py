"""Who may do what: the question that is put to ``authorize=``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..conversation.context import SecurityContext
from ..trust import RequestType
from .messages import Request
from .refusals import NotPermitted

#: What somebody wants of the trust service, or of the application.
Kind = Literal["issue", "renew", "cancel", "validate", "call"]


@dataclass(frozen=True, kw_only=True)
class Access:
    """What somebody wants to do, once it is certain who it is.

    Args:
        kind: "issue", "renew", "cancel" or "validate" of a context, or "call" of the application.
        principal: who asks, by a name for people: the user, else whose the token is, else the subject of the
            certificate; of a context, whom it was issued to. None where the policy does not want to know.
        owner: the same, so that principals of one name are told apart: two authorities may issue certificates for it.
        action: the wsa:Action that was signed; "" where none was.
        operation: of a call, the name of the operation in the WSDL, where the policy came with one.
        username: of a call, the user that the call itself names, where its policy wants that.
        context: the context that the call or request is made in, or that is to be renewed; None for a new one, and
            where there is none of that name that is the principal's.
        environ: the WSGI environment of the request; its input was read already.
    """

    kind: Kind
    principal: str | None
    owner: str
    action: str
    operation: str | None = None
    username: str | None = None
    context: SecurityContext | None = None
    environ: Mapping[str, Any] = field(default_factory=dict, repr=False)


#: What ``authorize=`` takes: it allows with True, and refuses with anything else.
Authorize = Callable[[Access], bool]

_KINDS: dict[RequestType, Kind] = {
    RequestType.ISSUE: "issue",
    RequestType.RENEW: "renew",
    RequestType.CANCEL: "cancel",
    RequestType.VALIDATE: "validate",
}


def kind_of(request: RequestType) -> Kind:
    """What a request to the trust service is called."""
    return _KINDS[request]


def access_of(kind: Kind, context: SecurityContext, action: str, request: Request) -> Access:
    """What the principal of a context wants to do in it."""
    return Access(
        kind=kind,
        principal=context.principal,
        owner=context.owner or "",
        action=action,
        context=context,
        environ=request.environ,
    )


def permit(authorize: Authorize | None, access: Access) -> None:
    """Ask ``authorize=``. What it raises goes through: nothing was done yet.

    Raises:
        NotPermitted: when it does not allow it.
    """
    if authorize is None or authorize(access) is True:
        return
    what = f"call {access.operation or access.action!r}" if access.kind == "call" else access.kind
    who = access.principal or "An anonymous client"
    raise NotPermitted(f"{who} may not {what}", call=access.kind == "call")
