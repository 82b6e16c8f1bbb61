"""Configuration files: ${placeholders} in a template become this stack's ports and folders."""

from pathlib import Path
from string import Template

from .layout import Stack


def rendered(stack: Stack, template: Path) -> Path:
    values = {name: str(port) for name, port in stack.ports.items()}
    values |= {"data": str(stack.data), "stack": stack.name, "origin": stack.origin}
    # A placeholder that nothing fills is a KeyError here, not a broken server later.
    text = Template(template.read_text()).substitute(values)
    target = stack.generated / template.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return target
