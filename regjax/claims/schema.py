"""A JSON Schema of claim files, for completion and checks in editors; made from the models that check them."""

from typing import Any

from regjax.claims.declare import EXPECT, Declared
from regjax.schema import clean_schema


def make_claim_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 7) of a claim file; that names fit the studies only `regjax claims --plan` checks.

    >>> sorted(make_claim_schema()["properties"])
    ['cases', 'claim', 'figure', 'full', 'rule', 'studies', 'tests']
    """
    schema: dict[str, Any] = clean_schema(_drop_words(Declared.model_json_schema()))
    schema["$defs"]["Test"]["properties"]["expect"] |= {"enum": list(EXPECT)}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "regjax claim", **schema}


def _drop_words(schema: Any) -> Any:
    """Return a schema of pydantic without the descriptions of its tables, which are words of the code."""
    if isinstance(schema, list):
        return [_drop_words(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    table = isinstance(schema.get("properties"), dict)
    return {key: _drop_words(value) for key, value in schema.items() if not (table and key == "description")}
