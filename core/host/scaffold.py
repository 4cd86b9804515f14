"""Writes a new plugin's folder from templates: small, complete, and passing `outrigger plugins check` as it stands."""

from __future__ import annotations

from pathlib import Path
from string import Template

from core.host.manifests import MAX_NAME, is_name
from core.model.errors import InvalidRequest

TEMPLATES = Path(__file__).parent / "scaffold_templates"

FILES = {
    "plugin.toml": "plugin.toml.txt",
    "README.md": "README.md.txt",
    "__init__.py": "init.py.txt",
    "plugin.py": "plugin.py.txt",
    "config.py": "config.py.txt",
    "rules.py": "rules.py.txt",
    "templates/large_lead.zh.txt": "large_lead.zh.txt.txt",
    "templates/large_lead.en.txt": "large_lead.en.txt.txt",
    "tests/__init__.py": "init_tests.py.txt",
    "tests/test_plugin.py": "test_plugin.py.txt",
    "tests/test_rules.py": "test_rules.py.txt",
    "tests/test_config.py": "test_config.py.txt",
    "tests/events/lead.created.json": "lead.created.json.txt",
    "tests/events/lead.created.small.json": "lead.created.small.json.txt",
}


def write_plugin(root: Path, name: str, *, title: str = "", owner: str = "") -> Path:
    """Write the folder `root`/`name` and return it. Raises InvalidRequest when it exists or the name is none."""
    if not is_name(name):
        raise InvalidRequest(
            f'"{name[:80]}" is no name for a plugin: lower-case words joined by `_`, at most {MAX_NAME} characters, '
            "such as quote_approval."
        )
    folder = root / name
    if folder.exists():
        raise InvalidRequest(f"{folder} exists already; choose another name or remove it.")
    values = {
        "name": name,
        "slug": name.replace("_", "-"),
        "package": f"{root.resolve().name}.{name}" if (root / "__init__.py").is_file() else name,
        "title": _one_line(title) or name.replace("_", " ").capitalize(),
        "owner": _one_line(owner) or "nobody yet",
    }
    try:
        for target, template in FILES.items():
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            text = (TEMPLATES / template).read_text(encoding="utf-8")
            path.write_text(Template(text).substitute(values), encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"{folder} cannot be written: {error.strerror}.") from None
    return folder


def _one_line(text: str) -> str:
    """Return the text as it may stand between quotes in TOML."""
    return " ".join(text.split()).replace("\\", "/").replace('"', "'")
