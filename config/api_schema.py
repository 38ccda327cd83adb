"""What the OpenAPI document says of every operation alike."""

from typing import Any

from config.api_errors import CONTENT_TYPE

_PLAIN = "application/json"
_COMMON = """

Every refusal is a problem (RFC 9457, `application/problem+json`) with a stable `code`. The
operations list theirs. Alike everywhere:

| Status | `code` | When |
|---|---|---|
| 401 | `not_authenticated`, `authentication_failed` | No API key, or one that is not valid; `WWW-Authenticate` says how to send it. |
| 403 | `permission_denied` | The API key lacks the scope. |
| 404 | `not_found` | There is nothing at the path. |
| 405 | `method_not_allowed` | The path has no operation of this method; `Allow` lists those that it has. |
| 406 | `not_acceptable` | `Accept` admits no JSON. |
| 500 | `server_error` | Something failed on our side. Ask again, under the same key where there is one. |

`HEAD` is answered as `GET` without a body, and `OPTIONS` with what the path takes.
"""  # noqa: E501 (a row of a table is one line)
_NOT_ACCEPTABLE = "NotAcceptable"


def say_problems(result: dict[str, Any], **_said: Any) -> dict[str, Any]:
    """Name refusals by the content type that they have: RFC 9457 problem details."""
    for operations in result["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                if int(status) >= 400 and _PLAIN in content:
                    content[CONTENT_TYPE] = content.pop(_PLAIN)
    return result


def say_common_answers(result: dict[str, Any], **_said: Any) -> dict[str, Any]:
    """Tell once what is answered everywhere, and give every operation the refusal of `Accept`."""
    result["info"]["description"] += _COMMON
    result["components"]["responses"] = {
        _NOT_ACCEPTABLE: {
            "description": "`not_acceptable`: accept JSON.",
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    }
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"]["406"] = {"$ref": f"#/components/responses/{_NOT_ACCEPTABLE}"}
    return result
