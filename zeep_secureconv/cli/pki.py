"""``zeep-secureconv pki``: certificates for trying things out."""

from __future__ import annotations

from pathlib import Path

import click

from ..service.pki import PASSWORD, make_pki
from .progress import progress


@click.command(
    "pki",
    short_help="Make a CA, and certificates for a server and a client.",
    epilog="""\b
Examples:
  zeep-secureconv pki keys
  zeep-secureconv serve --policy service.wsdl --identity keys/server.p12 \\
      --identity-password changeit --trust keys/ca.pem
""",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Write over files that are there.")
def pki(folder: Path, *, force: bool) -> None:
    """Write a CA and certificates for a server (localhost) and a client into DIR.

    For trying things out only: the keys are not encrypted. NAME.pem is the certificate, NAME.key its key, and
    NAME.p12 has both, with the password "changeit".
    """
    with progress("Making keys"):
        written = make_pki(folder, force=force)
    for path in written:
        click.echo(path)
    click.echo(f"Valid for a year; the password of the .p12 files is {PASSWORD}", err=True)
