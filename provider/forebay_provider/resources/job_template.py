"""Base job templates, checked offline by the server's rules. Knows no pool."""

import json

from forebay import templates


def complaint(text: str) -> str | None:
    """What the server would refuse in a template, if anything; an empty one is no template."""
    template = json.loads(text)
    if not isinstance(template, dict):
        return "must be a JSON object"
    if not template:
        return None
    parts = ("job_configuration", "variables")
    if missing := [part for part in parts if not template.get(part)]:
        return f"must have job_configuration and variables; missing or empty: {', '.join(missing)}"
    if not all(isinstance(template[part], dict) for part in parts):
        return "must have objects as job_configuration and variables"
    if undeclared := templates.undeclared(template):
        used = ", ".join(f"{{{{ {name} }}}}" for name in undeclared)
        known = ", ".join(sorted(templates.variable_schemas(template))) or "nothing"
        return (
            f"uses {used}, which variables.properties does not declare; it declares {known}. "
            "Declare it there, or correct the name"
        )
    return None
