"""From YAML files to policies and back to the person who wrote them: parsing, problems, reloading."""
