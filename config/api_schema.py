"""What the OpenAPI document says of every operation alike."""

from typing import Any

from config.api_errors import CONTENT_TYPE

_PLAIN = "application/json"


def say_problems(result: dict[str, Any], **_said: Any) -> dict[str, Any]:
    """Name refusals by the content type that they have: RFC 9457 problem details."""
    for operations in result["paths"].values():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                if int(status) >= 400 and _PLAIN in content:
                    content[CONTENT_TYPE] = content.pop(_PLAIN)
    return result
