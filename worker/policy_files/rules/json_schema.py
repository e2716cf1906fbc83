"""The format of a policy file as a JSON Schema, so that editors complete and check while somebody types."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from worker.policy_files.rules.schema import PolicyEntry

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the schema; what one key says of another, or of the file's name, it cannot tell."""
    schema = PolicyEntry.model_json_schema(schema_generator=_Generator)
    for described in (schema, *schema["$defs"].values()):
        described.pop("title")
    labels = schema["properties"]["labels"]
    # Names of another form are not only undescribed, they are refused.
    labels["additionalProperties"] = False
    return {"$schema": _DIALECT, "title": "A moderation policy"} | schema


class _Generator(GenerateJsonSchema):
    """Pydantic's, without what an editor would show in vain: titles, and the nothing of a key left out."""

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False
