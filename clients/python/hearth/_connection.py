"""Where the daemon is, and what goes with every call."""

from __future__ import annotations

from dataclasses import dataclass
import re
from typing import Any

import grpc


@dataclass(frozen=True)
class Tls:
    """Of addresses that begin with "tls:". All but the name is PEM."""
    root_certificates: bytes | None = None  # that are trusted; None: the system's
    server_name: str | None = None  # that the certificate must be of; None: the address's host
    certificate: bytes | None = None  # the client's own, for daemons that want one
    private_key: bytes | None = None  # its key


# Embeddings of 256 inputs and scores of 64 candidates pass gRPC's default of 4 MiB.
_MOST_RESPONSE_BYTES = 64 << 20


def open_channel(grpc_module: Any, address: str, tls: Tls) -> Any:
    """A channel of `grpc_module`, which is grpc or grpc.aio. ValueError for no address, and for
    certificates that it would not use."""
    port = re.fullmatch(r"(?:tls:)?[^:/][^/]*:(\d{1,5})", address)
    # gRPC takes a larger port modulo 2**16.
    if not (0 < int(port[1]) < 1 << 16 if port else re.fullmatch(r"unix:.+", address)):
        raise ValueError(
            f"address: expected HOST:PORT, tls:HOST:PORT or unix:PATH, found {address!r}")
    options: list[tuple[str, int | str]] = [
        ("grpc.enable_http_proxy", 0),  # prompts go to the daemon alone
        ("grpc.max_receive_message_length", _MOST_RESPONSE_BYTES),
    ]
    if not address.startswith("tls:"):
        if tls != Tls():
            raise ValueError(f"address: expected tls:HOST:PORT, found {address!r}")
        return grpc_module.insecure_channel(address, options=options)
    if tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    credentials = grpc.ssl_channel_credentials(tls.root_certificates, tls.private_key,
                                               tls.certificate)
    return grpc_module.secure_channel(address[len("tls:"):], credentials, options=options)


def metadata(key: str | None) -> tuple[tuple[str, str], ...]:
    """What authorises a call. ValueError for a key that no header can carry."""
    if not key:
        return ()
    if not key.isascii() or not key.isprintable():
        raise ValueError("key: expected printable ASCII")
    return (("authorization", f"Bearer {key}"),)
