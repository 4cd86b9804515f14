"""What plugins.toml means: values merge, every value tells its origin, and every fault is named at its place."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from core.host.configuration import Surroundings, build, resolve
from core.host.environment import overrides
from core.host.plugin_settings import leaves, merged
from core.host.settings import Configuration
from core.model.errors import ConfigurationRefused

GOOD = """
[dispatch]
max_wait = "2h"

[sources.erp]
adapter = "standard"
secrets = ["env:ERP_SECRET"]
unit = "by_rule"
[sources.erp.options]
zone = "Asia/Shanghai"

[units.new_energy]
title = "新能源事业部"
match = { industry = ["ev", "photovoltaic"], region = "华东" }
[units.new_energy.plugins.host_scorer]
config.grades.A = 75

[units.packaging]
title = "包装"
[units.packaging.plugins.host_scorer]
enabled = false

[endpoints.desk]
url = "https://desk.example.com/hook"
secret = "file:/run/secrets/desk"

[plugins.host_scorer]
enabled = true
[plugins.host_scorer.config]
hot_score = 60
"""


def configured(text: str, around: Surroundings) -> Configuration:
    return build(1, resolve(text, around), around.plugins)[0]


def refused(text: str, around: Surroundings) -> list[tuple[str, str]]:
    with pytest.raises(ConfigurationRefused) as caught:
        resolve(text, around)
    return [(error["path"], error["message"]) for error in caught.value.errors]


def test_a_unit_overrides_single_values_over_the_plugins_own(around: Surroundings) -> None:
    configuration = configured(GOOD, around)
    assert configuration.plugins["new_energy", "host_scorer"].config.grades == {"A": 75, "B": 65}
    assert configuration.plugins["packaging", "host_scorer"].config.grades == {"A": 80, "B": 65}
    assert configuration.plugins["new_energy", "host_scorer"].config.hot_score == 60


def test_every_value_tells_where_it_came_from(around: Surroundings) -> None:
    setting = configured(GOOD, around).plugins["new_energy", "host_scorer"]
    assert setting.origins == {
        "enabled": "file: plugins.host_scorer",
        "hot_score": "file: plugins.host_scorer.config",
        "grades.A": "file: units.new_energy.plugins.host_scorer.config",
        "grades.B": "default",
        "channel": "default",
    }
    assert setting.values == {"hot_score": 60, "grades": {"A": 75, "B": 65}, "channel": None}


def test_a_list_given_as_a_table_has_the_origin_of_its_members(around: Surroundings) -> None:
    def load(values: Any) -> Any:
        return {"grids": [{"name": name, **grid} for name, grid in values.get("grids", {}).items()], "plain": []}

    plugins = {**around.plugins, "host_scorer": dataclasses.replace(around.plugins["host_scorer"], load_config=load)}
    text = '[plugins.host_scorer]\nenabled = true\nconfig.grids.east.reps = ["li.na"]'
    origins = configured(text, dataclasses.replace(around, plugins=plugins)).plugins["default", "host_scorer"].origins
    assert origins["grids"] == "file: plugins.host_scorer.config"
    assert origins["plain"] == "default"


def test_switches_follow_unit_then_plugin_then_manifest(around: Surroundings) -> None:
    configuration = configured(GOOD, around)
    assert configuration.is_enabled("new_energy", "host_scorer")
    assert not configuration.is_enabled("packaging", "host_scorer")
    assert configuration.enabled_plugins("default") == ("host_scorer",)
    assert configuration.plugins["default", "host_plain"].origins["enabled"] == "default"


def test_units_keep_their_order_and_default_is_always_last(around: Surroundings) -> None:
    assert list(configured(GOOD, around).units) == ["new_energy", "packaging", "default"]
    assert list(configured("[units.default]\n[units.b]\n[units.a]", around).units) == ["b", "a", "default"]


def test_the_sections_become_typed_settings(around: Surroundings) -> None:
    configuration = configured(GOOD, around)
    assert configuration.dispatch.max_wait == timedelta(hours=2)
    assert configuration.dispatch.max_attempts == 12
    assert configuration.sources["erp"].options == {"zone": "Asia/Shanghai"}
    assert configuration.sources["erp"].secrets == ("env:ERP_SECRET",)
    assert configuration.units["new_energy"].match == {"industry": ("ev", "photovoltaic"), "region": ("华东",)}
    assert configuration.endpoints["desk"].url == "https://desk.example.com/hook"


def test_a_process_without_plugins_reads_the_same_values_without_config(around: Surroundings) -> None:
    resolved = resolve(GOOD, around)
    with_code, without = build(3, resolved, around.plugins)[0], build(3, resolved, None)[0]
    assert without.plugins["new_energy", "host_scorer"].config is None
    assert without.plugins["new_energy", "host_scorer"].values == with_code.plugins["new_energy", "host_scorer"].values
    assert without.enabled_plugins("new_energy") == with_code.enabled_plugins("new_energy")


SCORER = "plugins.toml, plugins.host_scorer.config"
TOML = "plugins.toml"
FAULTS: list[tuple[str, str, str]] = [
    ("[dispach]", "plugins.toml", "unknown key `dispach`. Did you mean `dispatch`?"),
    ("[dispatch]\nmax_atempts = 3", f"{TOML}, dispatch", "unknown key `max_atempts`. Did you mean `max_attempts`?"),
    ("[dispatch]\nmax_attempts = 'many'", f"{TOML}, dispatch.max_attempts",
     'must be a whole number, such as 5; it is "many"'),
    ("[dispatch]\nmax_wait = 'soon'", f"{TOML}, dispatch.max_wait", "Not a span of time"),
    ("[dispatch]\nhook_time_limit_s = nan", f"{TOML}, dispatch.hook_time_limit_s", "must be a finite number"),
    ("[sources.erp]\nadapter = 'standrd'", f"{TOML}, sources.erp.adapter", 'Did you mean "standard"?'),
    ("[sources.erp]", f"{TOML}, sources.erp.adapter", "is missing"),
    ("[sources.ERP]\nadapter = 'standard'", f"{TOML}, sources", '"ERP" is no name'),
    (
        "[sources.erp]\nadapter = 'standard'\nunit = 'new_enrgy'\n[units.new_energy]",
        f"{TOML}, sources.erp.unit",
        'no unit "new_enrgy". Did you mean "new_energy"?',
    ),
    ("[sources.erp]\nadapter = 'standard'\nsecrets = ['hunter2']", f"{TOML}, sources.erp.secrets.0", "not shown"),
    ("[sources.e]\nadapter = 'standard'\noptions.zoo = 1", f"{TOML}, sources.e.options", 'option "zoo"'),
    ("[sources.e]\nadapter = 'standard'\nwrite_back_url = 'ftp:x'", f"{TOML}, sources.e.write_back_url", "an http"),
    ("[endpoints.desk]\nsecret = 'env:X'", f"{TOML}, endpoints.desk.url", "is missing"),
    ("[units.default]\nmatch = { industry = 'ev' }", f"{TOML}, units.default.match", "takes what no other takes"),
    ("[units.a]\nmatch = { industry = [] }", f"{TOML}, units.a.match.industry", "none of them empty"),
    ("units = 3", f"{TOML}, units", "must be a table"),
    (
        "[units.new_energy]\ntitle = 'N'\n[units.new_enrgy.plugins.host_plain]\nenabled = true",
        f"{TOML}, units.new_enrgy",
        'not declared. Did you mean "new_energy"?',
    ),
    ("[units.a]\nmatch = { industri = 'ev' }", f"{TOML}, units.a.match.industri", 'Did you mean "industry"?'),
    ("[units.a]\nmatch = { zone_code = 'ev' }", f"{TOML}, units.a.match.zone_code", "as `extra.zone_code`"),
    ("[units.a]\nmatch = { extra.x = 3 }", f"{TOML}, units.a.match.extra.x", "none of them empty"),
    ("[units.a]\nmatch = 'ev'", f"{TOML}, units.a.match", "Must be a table of fields"),
    ("[units.a]\ncalendar = 'china'", f"{TOML}, units.a.calendar", "Known: cn, always."),
    ("[plugins.host_scorr]", f"{TOML}, plugins", 'no plugin "host_scorr". Did you mean "host_scorer"?'),
    ("[units.a.plugins.host_scorr]", f"{TOML}, units.a.plugins", "Did you mean"),
    ("[plugins.host_scorer]\nenabled = 'yes'", f"{TOML}, plugins.host_scorer.enabled", "true or false"),
    ("[plugins.host_scorer]\nhot_score = 3", f"{TOML}, plugins.host_scorer", "stand inside `config`"),
    ("[plugins.host_scorer.config]\nhot_scor = 3", SCORER, "unknown key `hot_scor`. Did you mean `hot_score`?"),
    ("[plugins.host_scorer.config]\nhot_score = 300", f"{SCORER}.hot_score", "Must be greater than or equal to 0"),
    (
        "[units.a.plugins.host_scorer]\nconfig.hot_scor = 3",
        f"{TOML}, units.a.plugins.host_scorer.config",
        "unknown key `hot_scor`. Did you mean `hot_score`?",
    ),
    (
        "[units.a.plugins.host_scorer]\nconfig.grades.A = 'x'",
        f"{TOML}, units.a.plugins.host_scorer.config.grades.A",
        'must be a whole number, such as 5; it is "x"',
    ),
    ("[plugins.host_plain.config]\nx = 1", f"{TOML}, plugins.host_plain.config", "unknown key `x`."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "message"), FAULTS)
def test_a_fault_is_named_at_its_place_with_the_nearest_right_name(
    text: str, path: str, message: str, around: Surroundings
) -> None:
    found = refused(text, around)
    assert any(where == path and message in what for where, what in found), found


def test_a_field_that_only_a_crm_has_is_spelt_with_extra(around: Surroundings) -> None:
    for spelling in ('extra.zone_code = "7"', '"extra.zone_code" = "7"'):
        text = f"[units.a]\nmatch = {{ industry = 'ev', {spelling} }}"
        assert configured(text, around).units["a"].match == {"industry": ("ev",), "extra.zone_code": ("7",)}


def test_a_unit_declared_by_its_header_alone_may_set_plugins(around: Surroundings) -> None:
    text = "[units.a]\n[units.a.plugins.host_plain]\nenabled = false"
    assert not configured(text, around).is_enabled("a", "host_plain")


def test_all_faults_are_told_at_once(around: Surroundings) -> None:
    text = "[dispatch]\nmax_attempts = 0\n[plugins.host_scorer.config]\nhot_scor = 1\n[sources.a]\nadapter = 'x'"
    assert len(refused(text, around)) == 3


def test_text_that_is_no_toml_names_line_and_column(around: Surroundings) -> None:
    with pytest.raises(ConfigurationRefused, match=r"plugins\.toml is no TOML: .*line 2"):
        resolve("[a]\nb = = 3", around)


def test_the_environment_overrides_keys_and_says_so(around: Surroundings, tmp_path: Any) -> None:
    secret = tmp_path / "score"
    secret.write_text("12\n")
    environ = {
        "OUTRIGGER_DISPATCH__MAX_ATTEMPTS": "3",
        "OUTRIGGER_PLUGINS__HOST_SCORER__CONFIG__HOT_SCORE_FILE": str(secret),
        "OUTRIGGER_UNITS__NEW_ENERGY__PLUGINS__HOST_SCORER__CONFIG__GRADES__A": "77",
        "OUTRIGGER_DATABASE_URL": "sqlite:///x",
        "HOME": "/",
    }
    configuration = configured(GOOD, dataclasses.replace(around, overrides=overrides(environ)))
    setting = configuration.plugins["new_energy", "host_scorer"]
    assert configuration.dispatch.max_attempts == 3
    assert (setting.config.hot_score, setting.config.grades["A"]) == (12, 77)
    assert setting.origins["hot_score"] == "environment: OUTRIGGER_PLUGINS__HOST_SCORER__CONFIG__HOT_SCORE"


def test_a_fault_from_the_environment_names_the_variable(around: Surroundings) -> None:
    environ = {
        "OUTRIGGER_DISPATCH__MAX_ATTEMPTS": "many",
        "OUTRIGGER_DISPATCH__MAX_ATEMPTS": "3",
        "OUTRIGGER_PLUGINS__HOST_SCORER__CONFIG__HOT_SCOR": "1",
    }
    found = dict(refused("", dataclasses.replace(around, overrides=overrides(environ))))
    assert (
        found["environment variable OUTRIGGER_DISPATCH__MAX_ATTEMPTS"]
        == 'must be a whole number, such as 5; it is "many"'
    )
    assert "Did you mean `max_attempts`?" in found["environment variable OUTRIGGER_DISPATCH__MAX_ATEMPTS"]
    assert "Did you mean `hot_score`?" in found["environment variable OUTRIGGER_PLUGINS__HOST_SCORER__CONFIG__HOT_SCOR"]


def test_a_key_whose_own_name_ends_in_file_is_overridden_by_its_value(tmp_path: Any) -> None:
    name = "OUTRIGGER_CHANNELS__MAIL__CA_FILE"
    (tmp_path / "path").write_text("/etc/ssl/ca.pem\n", encoding="utf-8")
    assert overrides({name: "/etc/ssl/ca.pem"}) == {name: "/etc/ssl/ca.pem"}
    assert overrides({f"{name}_FILE": str(tmp_path / "path")}) == {name: "/etc/ssl/ca.pem"}


def test_an_override_of_nothing_is_refused_with_the_nearest_section() -> None:
    with pytest.raises(ConfigurationRefused, match=r'no section "dispach"\. Did you mean "dispatch"'):
        overrides({"OUTRIGGER_DISPACH__X": "1"})
    with pytest.raises(ConfigurationRefused, match="Both OUTRIGGER_DISPATCH__X and OUTRIGGER_DISPATCH__X_FILE"):
        overrides({"OUTRIGGER_DISPATCH__X": "1", "OUTRIGGER_DISPATCH__X_FILE": "/dev/null"})


def test_settings_a_plugin_no_longer_accepts_stop_that_plugin_alone(around: Surroundings) -> None:
    resolved = resolve(GOOD, around)

    def refuse(values: Any) -> Any:
        raise ValueError("a new release wants another shape")

    newer = {**around.plugins, "host_scorer": dataclasses.replace(around.plugins["host_scorer"], load_config=refuse)}
    configuration, faults = build(1, resolved, newer)
    assert configuration.plugins["new_energy", "host_scorer"].config is None
    assert "no longer accepts" in faults["new_energy", "host_scorer"]
    assert configuration.plugins["new_energy", "host_plain"].config is not None


def test_units_with_the_same_settings_share_them(around: Surroundings) -> None:
    text = "\n".join(f"[units.u{number}]" for number in range(200))
    resolved = resolve(text, around)
    assert len(resolved["configs"]["host_scorer"]) == 1
    found = build(1, resolved, around.plugins)[0].plugins
    assert found["u1", "host_scorer"].config is found["u199", "host_scorer"].config


VALUES = strategies.recursive(
    strategies.integers(0, 9),
    lambda inner: strategies.dictionaries(strategies.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
TABLES = strategies.dictionaries(strategies.sampled_from("abc"), VALUES, max_size=3)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TABLES, TABLES)
def test_merging_keeps_every_value_above_and_adds_nothing_else(below: dict[str, Any], above: dict[str, Any]) -> None:
    result = merged(below, above)
    assert merged(result, above) == result
    assert merged({}, above) == above
    assert merged(below, {}) == below
    assert set(leaves(result)) <= set(leaves(below)) | set(leaves(above))
