"""`ai serve`: this home over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from localai.cli.call import Call, noun
from localai.cli.console import note
from localai.core import settings as keys
from localai.core.clock import seconds
from localai.core.errors import Invalid

app = noun()


@app.command()
def serve(
    ctx: typer.Context,
    *,
    host: Annotated[str, typer.Option(metavar="H", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Where; else server.port.")
    ] = None,
    open_to_network: Annotated[
        bool, typer.Option("--open-to-network", help="Let other machines come, with --host.")
    ] = False,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Encrypt with this certificate.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its key.")] = None,
    keep_alive: Annotated[
        str | None,
        typer.Option(metavar="D", help="Unload what nobody uses; else server.keep_alive."),
    ] = None,
    print_unit: Annotated[
        bool, typer.Option("--print-unit", help="Print what keeps it running, and serve nothing.")
    ] = False,
    unit_kind: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="systemd or launchd; else this machine's."),
    ] = None,
) -> None:
    """Serve this home over HTTP until Ctrl-C."""
    from localai.api.server import Place, run
    from localai.api.units import unit
    from localai.core.serving import Encryption

    call = Call(ctx)
    if (tls_cert is None) != (tls_key is None):
        raise Invalid("--tls-cert and --tls-key go together")
    encryption = Encryption(tls_cert, tls_key) if tls_cert and tls_key else None
    chosen = call.app.settings[keys.SERVER_PORT] if port is None else port
    kept = seconds(keep_alive) if keep_alive else call.app.settings[keys.SERVER_KEEP_ALIVE]
    place = Place(host, chosen, open_to_network, encryption, max(1, kept))
    if print_unit:
        print(unit(call.app, place, unit_kind), end="")
    else:
        run(call.app, place, note)
