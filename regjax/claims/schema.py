"""A JSON Schema of claim files, for completion and checks in editors; made from the models that check them."""

from typing import Any

from regjax.claims.declare import EXPECT, Declared


def make_claim_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 7) of a claim file; that names fit the studies only `regjax claims --plan` checks.

    >>> sorted(make_claim_schema()["properties"])
    ['cases', 'claim', 'figure', 'full', 'rule', 'studies', 'tests']
    """
    schema: dict[str, Any] = _clean(Declared.model_json_schema())
    schema["$defs"]["Test"]["properties"]["expect"] |= {"enum": list(EXPECT)}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "regjax claim", **schema}


def _clean(schema: Any) -> Any:
    """Return a schema of pydantic without titles, the words of the code, and null, which TOML has not."""
    if isinstance(schema, list):
        return [_clean(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    table = isinstance(schema.get("properties"), dict)
    dropped = {"title", *(["description"] if table else [])}
    made = {key: _clean(value) for key, value in schema.items() if not (key in dropped and isinstance(value, str))}
    if made.get("default", "") is None:
        del made["default"]
    if "anyOf" in made:
        options = [option for option in made.pop("anyOf") if option != {"type": "null"}]
        made |= {"anyOf": options} if len(options) > 1 else options[0]
    return made
