"""The format of a policy file as a JSON Schema, for completion and validation in editors."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from worker.policy_files.rules.schema import PolicyEntry

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the schema; it cannot express rules between keys, or about the file's name."""
    schema = PolicyEntry.model_json_schema(schema_generator=_Generator)
    for described in (schema, *schema["$defs"].values()):
        described.pop("title")
    labels = schema["properties"]["labels"]
    # Names that do not match the pattern are refused.
    labels["additionalProperties"] = False
    return {"$schema": _DIALECT, "title": "A moderation policy"} | schema


class _Generator(GenerateJsonSchema):
    """Pydantic's generator without what is noise in an editor: titles, and null for absent keys."""

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False
