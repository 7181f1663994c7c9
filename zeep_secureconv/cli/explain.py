"""``zeep-secureconv explain``: a policy in words, what messages look like under it, and what is missing for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import requests
from lxml import etree
from rich.console import Console
from rich.text import Text

from ..client.parties import Parties
from ..client.policies import loading, without_password
from ..errors import ConfigurationError
from ..names import WSDL
from ..policy.choice import Satisfiable
from ..policy.files import parse_document
from ..policy.model import EndpointPolicy
from ..policy.presets import NAMES, Preset, is_preset, preset
from ..policy.reader import read_document
from ..wss.certificates import read_source
from .describe import known_as
from .explanation import (
    Explanation,
    LegExplanation,
    Means,
    Message,
    OutlineEntry,
    Problem,
    Reader,
    explain_policy,
)
from .failures import EXPLAINED, printable
from .failures import explain as failure_of
from .options import FILE, credential_options, credentials, dialect_option
from .progress import progress

_TIMEOUT = 60.0


@click.command(
    "explain",
    short_help="Say what a policy asks for, and what is missing for it.",
    epilog="""\b
Examples:
  zeep-secureconv explain http://localhost:8080/peer?wsdl
  zeep-secureconv explain policy.xml --identity client.p12 --trust ca.pem --peer server.pem
  zeep-secureconv explain 'Username SecureConversation' --username alice --json
""",
)
@click.argument("source", metavar="WSDL|POLICY|PRESET")
@credential_options
@dialect_option
@click.option("--peer", type=FILE, metavar="FILE", help="The service's certificate (PEM).")
@click.option("--endpoint", metavar="URL", help="Address of the service, instead of the WSDL's.")
@click.option("--port-name", metavar="NAME", help="The wsdl:port to explain, where there are several.")
@click.option("--tls-ca", type=FILE, metavar="FILE", help="CAs (PEM) for https, instead of the usual ones.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the server.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
@click.pass_context
def explain(ctx: click.Context, /, *, source: str, as_json: bool, **options: Any) -> None:
    """Explain the policy of a WSDL, of a wsp:Policy document (a file or a URL each), or of a preset.

    It is put into plain sentences, with the header of each message as this library really makes it: samples are
    secured with keys made for the moment. Then comes what is needed to use the policy, and whether the options
    give it. Nothing is sent, but for fetching a URL. The exit status is 0 if the policy can be satisfied with
    what was given, 1 if not.
    """
    try:
        with requests.Session() as session, progress(f"Explaining {source}"):
            subject = _subject(source, _Fetch(session, options["tls_ca"], options["timeout"]))
            means = _means(options, subject)
            explanation = explain_policy(subject.root, subject.reader(options["port_name"]), means)
    except EXPLAINED as error:
        if not as_json:
            raise
        click.echo(json.dumps({"ok": False, "error": failure_of(error).as_dict()}))
        ctx.exit(1)
    if as_json:
        click.echo(json.dumps(explanation.as_dict() | subject.as_dict() | {"error": None}))
    else:
        _tell(subject, explanation)
    ctx.exit(0 if explanation.ok else 1)


def _means(options: dict[str, Any], subject: _Subject) -> Means:
    who = credentials(options)
    dialect = subject.preset.dialect if subject.preset else None
    return Means(
        parties=Parties.of(
            who.load_identity(),
            who.load_trust(),
            options["peer"],
            username=who.load_username(),
            tokens=who.load_tokens(),
        ),
        endpoint=options["endpoint"],
        dialect=dialect if options["dialect"] == "auto" else options["dialect"],
    )


# ---------------------------------------------------------------------------------------- what to explain


@dataclass(frozen=True)
class _Fetch:
    """Gives the root of a document at a location: of a file, or by http.

    Args:
        session: for http.
        authorities: CAs for https, or None for the usual ones.
        timeout: in seconds.
        remote: whether what is fetched may not lead to files of this machine.
    """

    session: requests.Session
    authorities: Path | None
    timeout: float
    remote: bool = False

    def __call__(self, location: str, /) -> etree._Element:
        if _is_url(location):
            with loading(location):
                response = self.session.get(
                    location, timeout=self.timeout, verify=str(self.authorities or "") or True
                )
                response.raise_for_status()
            return parse_document(response.content, without_password(location))
        if self.remote:
            raise ConfigurationError(
                f"The document leads to {location}, which is not to be fetched by http",
                hint="save it with what it imports, and give the file",
            )
        return parse_document(read_source(Path(location), "policy file"), location)


@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What is to be explained.

    Args:
        name: as it is shown.
        root: the document.
        location: where it came from, for messages to people and for what it imports.
        load: loads what it imports.
        preset: the preset that it is, if it is one.
    """

    name: str
    root: etree._Element
    location: str
    load: _Fetch
    preset: Preset | None = None

    @property
    def kind(self) -> str:
        """What it is: "wsdl", "policy" or "preset"."""
        if self.preset is not None:
            return "preset"
        return "wsdl" if self.root.tag == f"{{{WSDL}}}definitions" else "policy"

    def reader(self, port: str | None) -> Reader:
        """Reads the document; *port* names the port of a WSDL."""

        def read(root: etree._Element, satisfiable: Satisfiable | None) -> EndpointPolicy:
            policy = read_document(
                root, location=self.location, load=self.load, port=port, satisfiable=satisfiable
            )
            return self.preset.adjust(policy) if self.preset else policy

        return read

    def as_dict(self) -> dict[str, Any]:
        """The ``source`` of ``--json``."""
        description = self.preset.description if self.preset else None
        return {"source": {"name": self.name, "kind": self.kind, "description": description}}


def _subject(source: str, fetch: _Fetch) -> _Subject:
    """Find out what the user means: a URL, a file, or a preset.

    Raises:
        ConfigurationError: when it is none of them.
        TransportError: when a URL cannot be fetched.
    """
    if _is_url(source):
        remote = replace(fetch, remote=True)
        return _Subject(name=without_password(source), root=remote(source), location=source, load=remote)
    if Path(source).exists():
        location = str(Path(source).resolve())
        return _Subject(name=source, root=fetch(source), location=location, load=fetch)
    if is_preset(source):
        found = preset(source)
        location = f"preset {found.name}"
        root = parse_document(found.document(), location)
        return _Subject(name=found.name, root=root, location=location, load=fetch, preset=found)
    raise ConfigurationError(
        f"There is no file and no preset {source!r}",
        hint=f"give the path or URL of a WSDL or a wsp:Policy, or one of: {NAMES}",
    )


def _is_url(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


# ------------------------------------------------------------------------------------------- telling it


def _tell(subject: _Subject, explanation: Explanation) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for text, style in _lines(subject, explanation):
        console.print(Text(_printable(text), style=style or ""))


def _printable(text: str) -> str:
    """A line with its indentation, safe to show."""
    inner = text.lstrip(" ")
    return " " * (len(text) - len(inner)) + printable(inner)


_Lines = Iterator[tuple[str, str | None]]
_KINDS = {"wsdl": "WSDL", "policy": "Policy", "preset": "Preset"}
_HEADING = "bold"
_GOOD, _BAD = "green", "bold red"
_WARNING = "yellow"
_MARKS = {True: ("given  ", _GOOD), False: ("missing", _BAD), None: ("assumed", None)}


def _lines(subject: _Subject, explanation: Explanation) -> _Lines:
    description = f": {subject.preset.description}" if subject.preset else ""
    yield f"{_KINDS[subject.kind]} {subject.name}{description}", _HEADING
    yield from _generation(explanation)
    if explanation.bootstrap is not None:
        yield from _leg("Bootstrap: how a context is asked for", explanation.bootstrap)
    for leg in explanation.application:
        names = f" of {', '.join(leg.operations)}" if len(explanation.application) > 1 else ""
        yield from _leg(f"Application: the calls{names}", leg)
    yield from _outline(explanation)
    yield from _credentials(explanation)
    yield from _weak(explanation)
    yield from _problems(explanation)


def _generation(explanation: Explanation) -> _Lines:
    if explanation.address is not None:
        yield f"  Address: {explanation.address}", None
    if explanation.dialect is not None:
        names = (explanation.soap, explanation.addressing, explanation.trust, explanation.secure_conversation)
        yield f"  {', '.join(known_as(name) for name in names)}; dialect {explanation.dialect}", None


def _leg(title: str, leg: LegExplanation) -> _Lines:
    yield "", None
    yield f"{title} ({leg.source or 'no place known'})", _HEADING
    for sentence in leg.sentences:
        yield f"  {sentence}", None
    yield from _message("Request", leg.request)
    if leg.response is not None:
        yield from _message("Answer", leg.response)
    for warning in leg.warnings:
        yield f"  Warning: {warning}", _WARNING
    for reason in leg.rejected:
        yield f"  Alternative not taken: {reason}", None


def _message(title: str, message: Message) -> _Lines:
    yield f"  {title}", "underline"
    for sentence in message.sentences:
        yield f"    {sentence}", None
    layout = message.layout
    if layout is None:
        return
    yield f"    wsse:Security{'' if layout.security else ': there is none'}", None
    for child in layout.security:
        hides = f" of {child.hides}" if child.hides else ""
        yield f"      {child.name}{hides}{f' ({child.use})' if child.use else ''}", None
    for what, parts in (("signed", layout.signed), ("encrypted", layout.encrypted)):
        yield f"    {what} in a sample: {', '.join(parts) or 'nothing'}", None


def _outline(explanation: Explanation) -> _Lines:
    if not explanation.outline:
        return
    yield "", None
    without = "; what is said above is without those that are marked" if explanation.application else ""
    yield f"The assertions of the document{without}", _HEADING
    for entry in explanation.outline:
        text = f"  {'  ' * entry.depth}{entry.assertion} (line {entry.line})"
        refused = any(_is_about(problem, entry) for problem in explanation.problems)
        yield f"{text} <- here" if refused else text, _BAD if refused else None


def _is_about(problem: Problem, entry: OutlineEntry) -> bool:
    name = (problem.assertion or "").rpartition("}")[2]
    return name == entry.assertion and (problem.position or "").startswith(f"line {entry.line} of ")


def _credentials(explanation: Explanation) -> _Lines:
    if explanation.credentials:
        yield "", None
        yield "What is needed", _HEADING
    for need in explanation.credentials:
        mark, style = _MARKS[need.given]
        yield f"  {mark} {need.what}: {need.option} ({need.leg}: {need.why})", style


def _weak(explanation: Explanation) -> _Lines:
    if explanation.weak:
        yield "", None
        yield "Weak algorithms, used because the policy demands them", _HEADING
        for uri in explanation.weak:
            yield f"  {uri}", None


def _problems(explanation: Explanation) -> _Lines:
    yield "", None
    options = ", ".join(dict.fromkeys(need.option for need in explanation.missing))
    if explanation.ok:
        yield "The policy can be satisfied.", _GOOD
    elif not explanation.problems:
        yield f"The policy can be satisfied, but something is missing: {options}", _BAD
    else:
        yield "The policy cannot be satisfied:", _BAD
        for problem in explanation.problems:
            yield f"  {problem.message}", None
            if problem.hint:
                yield f"    Hint: {problem.hint}", None
