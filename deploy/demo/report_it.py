"""Prints what IT did: the plugin switched off in one unit, what skipped it, the way back, and the trail."""

from __future__ import annotations

from deploy.demo.client import Client
from deploy.demo.printing import heading, pad
from deploy.demo.switching import AFTERWARDS, PLUGIN, REASONS, SETTING, UNIT, VALUE, WHILE_OFF, Switched


def print_it(api: Client, done: Switched, titles: dict[str, str]) -> list[str]:
    """Print IT's steps with what each came to; return what is not as it should be."""
    heading("IT: a switch for one unit, a setting, the way back, the trail 开关、回滚与审计")
    print(f"  outrigger plugins disable {PLUGIN} --unit {UNIT} --reason …    ({titles[UNIT]})")
    print(f"    then {WHILE_OFF} came 停用期间: requests for approval: {done.requests_while_off}")
    for item in done.skipped:
        print(f"    {item['plugin']} in {item['unit']}: {item.get('reason') or item.get('status_reason')}")
    print(f"  outrigger config set {SETTING} {VALUE} --plugin sla_escalation --unit construction --reason …")
    print(f"    the running server has it 已生效: {done.was_set}")
    print(f"  version {done.before} and the newest then 版本差异:")
    for line in done.changes:
        print(f"    {line}")
    print(f"  outrigger config rollback {done.before} --reason …")
    after = next(iter(api.get("/api/v1/approvals", quote=AFTERWARDS)["items"]), None)
    print(f"    then {AFTERWARDS} came 恢复之后: {after['status'] if after else 'no request'}")
    print("  outrigger config history")
    for version in done.history[:6]:
        who, why = version["applied_by"], version["reason"] or "–"
        print(f"    {version['number']:>3}  {pad(version['origin'], 10)} {pad(who, 14)} {why}")
    differs = done.diff.get("differs")
    print(
        f"  outrigger config diff      plugins.toml and the server 文件与运行配置: {'differ' if differs else 'agree'}"
    )
    verdict = "whole 完整" if done.verified["ok"] else "BROKEN"
    print(f"  outrigger audit verify     {done.verified['rows']} rows, {verdict}")
    for row in [row for row in done.trail if row["action"].startswith(("plugin.", "config.", "quote_approval."))][:9]:
        print(f"    {row['seq']:>3}  {pad(row['action'], 24)} {pad(row['unit'] or '*', 13)} {row['actor']}")
    return _wrong(done, after["status"] if after else "no request")


def _wrong(done: Switched, after: str) -> list[str]:
    reasons = [version["reason"] for version in done.history]
    expected = {
        f"{WHILE_OFF} made no request while {PLUGIN} was off in {UNIT}": done.requests_while_off == 0,
        f"{WHILE_OFF} tells why it skipped {PLUGIN}": bool(done.skipped),
        "the setting was in force after config set": done.was_set == VALUE,
        "the two versions differ by the switch and the setting": any(VALUE in line for line in done.changes),
        "the rollback brought switch and setting back": done.is_back,
        f"{AFTERWARDS} was approved after the rollback": after == "approved",
        "the history names every reason": all(REASONS[name] in reasons for name in ("on", "off", "set", "back")),
        "plugins.toml agrees with the server at the end": not done.diff.get("differs"),
        "the audit trail is whole": done.verified["ok"],
        "the audit trail has the switch": any(row["action"] == "plugin.disabled" for row in done.trail),
    }
    return [f"not so: {what}" for what, is_so in expected.items() if not is_so]
