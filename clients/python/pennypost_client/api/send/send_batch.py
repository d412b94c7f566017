from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.batch_request import BatchRequest
from ...models.batch_response import BatchResponse
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    body: BatchRequest,
    idempotency_key: None | str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/v1/send/batch",
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> BatchResponse | Problem | None:
    if response.status_code == 202:
        response_202 = BatchResponse.from_dict(response.json())

        return response_202

    if response.status_code == 207:
        response_207 = BatchResponse.from_dict(response.json())

        return response_207

    if response.status_code == 400:
        response_400 = Problem.from_dict(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())

        return response_403

    if response.status_code == 408:
        response_408 = Problem.from_dict(response.json())

        return response_408

    if response.status_code == 409:
        response_409 = Problem.from_dict(response.json())

        return response_409

    if response.status_code == 413:
        response_413 = Problem.from_dict(response.json())

        return response_413

    if response.status_code == 414:
        response_414 = Problem.from_dict(response.json())

        return response_414

    if response.status_code == 415:
        response_415 = Problem.from_dict(response.json())

        return response_415

    if response.status_code == 422:
        response_422 = Problem.from_dict(response.json())

        return response_422

    if response.status_code == 429:
        response_429 = Problem.from_dict(response.json())

        return response_429

    if response.status_code == 431:
        response_431 = Problem.from_dict(response.json())

        return response_431

    if response.status_code == 500:
        response_500 = Problem.from_dict(response.json())

        return response_500

    if response.status_code == 503:
        response_503 = Problem.from_dict(response.json())

        return response_503

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[BatchResponse | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient,
    body: BatchRequest,
    idempotency_key: None | str | Unset = UNSET,
) -> Response[BatchResponse | Problem]:
    """Send several messages

     Each message is checked, kept and answered by itself: 202 if all are accepted, 207 if at least one
    is refused. A request that is not a list of 1 to
    100 messages is refused as a whole. So is one of which nothing was kept because the server cannot
    keep anything now (503), or because the
    idempotency key stands for another batch (409). All messages together may be as large as one message
    alone.

    With an `Idempotency-Key` the request can be repeated: a message stands for its place in the list
    and its text. One that was accepted is answered
    as before and sent once; one that was refused is tried again, as it was or corrected. Another
    message in the place of an accepted one is refused
    (`idempotency-key-reuse`). Keys of `POST /v1/send` are others.

    Args:
        idempotency_key (None | str | Unset):
        body (BatchRequest): Messages to send.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[BatchResponse | Problem]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient,
    body: BatchRequest,
    idempotency_key: None | str | Unset = UNSET,
) -> BatchResponse | Problem | None:
    """Send several messages

     Each message is checked, kept and answered by itself: 202 if all are accepted, 207 if at least one
    is refused. A request that is not a list of 1 to
    100 messages is refused as a whole. So is one of which nothing was kept because the server cannot
    keep anything now (503), or because the
    idempotency key stands for another batch (409). All messages together may be as large as one message
    alone.

    With an `Idempotency-Key` the request can be repeated: a message stands for its place in the list
    and its text. One that was accepted is answered
    as before and sent once; one that was refused is tried again, as it was or corrected. Another
    message in the place of an accepted one is refused
    (`idempotency-key-reuse`). Keys of `POST /v1/send` are others.

    Args:
        idempotency_key (None | str | Unset):
        body (BatchRequest): Messages to send.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        BatchResponse | Problem
    """

    return sync_detailed(
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient,
    body: BatchRequest,
    idempotency_key: None | str | Unset = UNSET,
) -> Response[BatchResponse | Problem]:
    """Send several messages

     Each message is checked, kept and answered by itself: 202 if all are accepted, 207 if at least one
    is refused. A request that is not a list of 1 to
    100 messages is refused as a whole. So is one of which nothing was kept because the server cannot
    keep anything now (503), or because the
    idempotency key stands for another batch (409). All messages together may be as large as one message
    alone.

    With an `Idempotency-Key` the request can be repeated: a message stands for its place in the list
    and its text. One that was accepted is answered
    as before and sent once; one that was refused is tried again, as it was or corrected. Another
    message in the place of an accepted one is refused
    (`idempotency-key-reuse`). Keys of `POST /v1/send` are others.

    Args:
        idempotency_key (None | str | Unset):
        body (BatchRequest): Messages to send.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[BatchResponse | Problem]
    """

    kwargs = _get_kwargs(
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient,
    body: BatchRequest,
    idempotency_key: None | str | Unset = UNSET,
) -> BatchResponse | Problem | None:
    """Send several messages

     Each message is checked, kept and answered by itself: 202 if all are accepted, 207 if at least one
    is refused. A request that is not a list of 1 to
    100 messages is refused as a whole. So is one of which nothing was kept because the server cannot
    keep anything now (503), or because the
    idempotency key stands for another batch (409). All messages together may be as large as one message
    alone.

    With an `Idempotency-Key` the request can be repeated: a message stands for its place in the list
    and its text. One that was accepted is answered
    as before and sent once; one that was refused is tried again, as it was or corrected. Another
    message in the place of an accepted one is refused
    (`idempotency-key-reuse`). Keys of `POST /v1/send` are others.

    Args:
        idempotency_key (None | str | Unset):
        body (BatchRequest): Messages to send.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        BatchResponse | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
