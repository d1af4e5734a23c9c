"""What the daemon refuses, as exceptions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc

from .v1 import error_details_pb2


class Error(Exception):
    """A call that failed. `code` is gRPC's name of it, such as "RESOURCE_EXHAUSTED"."""

    def __init__(self, code: str, message: str, field: str | None = None,
                 retry_after: float | None = None) -> None:
        super().__init__(message or code)
        self.code = code
        self.message = message
        self.field = field  # of the request, where the error is about one: "messages[2].role"
        self.retry_after = retry_after  # seconds, where the daemon says when to try again


class InvalidArgument(Error):
    """The request is wrong, and will be the next time."""


class Unauthenticated(Error):
    """The key is missing or wrong."""


class PermissionDenied(Error):
    """This client may not do that."""


class NotFound(Error):
    """No such model or pin."""


class Unimplemented(Error):
    """This daemon cannot do that."""


class ResourceExhausted(Error):
    """The queue is full, or there is no room to pin more."""


class Unavailable(Error):
    """Nobody listens, or the daemon loads or drains."""


class DeadlineExceeded(Error):
    """The timeout has passed, or the daemon's own."""


class Cancelled(Error):
    """Somebody has cancelled the generation."""


_BY_CODE: dict[str, type[Error]] = {
    "INVALID_ARGUMENT": InvalidArgument,
    "OUT_OF_RANGE": InvalidArgument,
    "UNAUTHENTICATED": Unauthenticated,
    "PERMISSION_DENIED": PermissionDenied,
    "NOT_FOUND": NotFound,
    "UNIMPLEMENTED": Unimplemented,
    "RESOURCE_EXHAUSTED": ResourceExhausted,
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "CANCELLED": Cancelled,
}

_DETAILS = "grpc-status-details-bin"
_TYPES = "type.googleapis.com/google.rpc."


def from_rpc(error: grpc.RpcError) -> Error:
    """What gRPC raised, as one of the above."""
    call: Any = error
    name = str(call.code().name)
    field, retry_after = _details(call.trailing_metadata() or ())
    return _BY_CODE.get(name, Error)(name, call.details() or "", field, retry_after)


def _details(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[str | None, float | None]:
    field = retry_after = None
    for key, value in metadata:
        if key != _DETAILS or not isinstance(value, bytes):
            continue
        try:
            for detail in error_details_pb2.RpcStatus.FromString(value).details:
                if detail.type_url == _TYPES + "BadRequest":
                    violations = error_details_pb2.BadRequest.FromString(detail.value)
                    for violation in violations.field_violations[:1]:
                        field = violation.field
                elif detail.type_url == _TYPES + "RetryInfo":
                    delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
                    retry_after = delay.seconds + delay.nanos / 1e9
        except Exception:  # DecodeError, of whichever protobuf: the error itself matters more
            pass
    return field, retry_after
