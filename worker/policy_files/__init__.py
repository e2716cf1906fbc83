"""Policy files: parsing YAML into policies, reporting problems with their places, reloading."""
