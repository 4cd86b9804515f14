"""The house rules for plugins in three tiers, each rule checked on the plugin itself: done, todo or exempt.

Public: `check_plugin(plugin)`. A tier is reached when every rule of it and of those below is done or exempt.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from core.host.manifests import TIERS
from core.host.plugin import Plugin
from core.testing import rules_of_code, rules_of_papers
from core.testing.examples import run_examples

State = Literal["done", "todo", "exempt"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule and how the plugin stands to it."""

    tier: str
    rule: str
    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Every rule's finding, the tier that the manifest claims and the one that is reached."""

    plugin: str
    claimed: str
    findings: tuple[Finding, ...]

    @property
    def reached(self) -> str | None:
        """The highest tier all of whose rules, and of those below, are met."""
        reached = None
        for tier in TIERS:
            if any(item.tier == tier and item.state == "todo" for item in self.findings):
                break
            reached = tier
        return reached

    @property
    def holds(self) -> bool:
        """Whether the plugin is what it claims to be."""
        return self.reached is not None and TIERS.index(self.reached) >= TIERS.index(self.claimed)

    def as_json(self) -> dict[str, Any]:
        """Return the report for `--json`."""
        return {
            "plugin": self.plugin,
            "claimed": self.claimed,
            "reached": self.reached,
            "holds": self.holds,
            "findings": [
                {"tier": item.tier, "rule": item.rule, "state": item.state, "reason": item.reason}
                for item in self.findings
            ],
        }


Answer = str | None
"""What a rule answers: an empty text when it is met, what is missing, or None when it does not apply."""

Rule = tuple[str, str, Callable[[Plugin], Answer], str]
"""Tier, the rule as a sentence, its check, and why it does not apply when it does not."""

RULES: tuple[Rule, ...] = (
    ("bronze", "README.md has its sections", rules_of_papers.sections, ""),
    ("bronze", "the settings' defaults load", rules_of_papers.defaults_load, "it has no settings"),
    ("bronze", "of the server only core.api is imported, by tests core.testing too", rules_of_code.imports, ""),
    ("bronze", "every module says in a sentence what it is for", rules_of_code.docstrings, ""),
    ("bronze", "every function is typed", rules_of_code.types, ""),
    ("bronze", "tables are made by migrations", rules_of_code.migrations, "it has no tables"),
    ("bronze", "it has tests", rules_of_papers.tests, ""),
    ("bronze", "each example event, handled twice, gives the same declared effects", run_examples, "it hears no event"),
    ("silver", "an owner is named", rules_of_papers.owner, ""),
    ("silver", "every hook has a test", rules_of_papers.hooks_tested, "it has no hooks"),
    ("silver", "the rules have tests of their own", rules_of_papers.rules_tested, "it has no rules.py"),
    ("silver", "refusals and failures are tested", rules_of_papers.failures_tested, ""),
    ("silver", "what people are told stands in templates, in zh and en", rules_of_papers.templates, "it tells nobody"),
    ("silver", "every setting is described", rules_of_papers.settings_described, "it has no settings"),
    ("silver", "README.md names every setting", rules_of_papers.settings_in_readme, "it has no settings"),
    ("gold", "every event it hears has an example", rules_of_papers.examples_complete, "it hears no event"),
    ("gold", "README.md has a section on trouble", rules_of_papers.troubleshooting, ""),
    ("gold", "it shows its work in a panel", lambda plugin: None, "this release has no console yet"),
)


def check_plugin(plugin: Plugin) -> Report:
    """Check a loaded plugin against every rule; a rule whose check fails is a rule not met."""
    loads = Finding("bronze", "it loads", "todo" if plugin.error else "done", plugin.error or "")
    findings = [loads]
    for tier, sentence, check, exemption in RULES:
        if plugin.error is not None:
            findings.append(Finding(tier, sentence, "todo", "cannot be checked before it loads"))
            continue
        try:
            answer = check(plugin)
        except Exception as error:
            # The plugin's own code runs in some checks; its failure is the finding.
            answer = f"{type(error).__name__}: {error}"
        if answer is None:
            findings.append(Finding(tier, sentence, "exempt", exemption))
        else:
            findings.append(Finding(tier, sentence, "todo" if answer else "done", answer))
    return Report(plugin.name, plugin.manifest.tier, tuple(findings))
