"""Settings: the sample is the defaults; what is unknown or wrong is named with path and value."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from satomori.settings import Settings, SettingsError, load_settings, read_secret

SAMPLE = Path(__file__).resolve().parents[2] / "satomori.toml"


def _written(folder: Path, text: str) -> Path:
    file = folder / "satomori.toml"
    file.write_text(text, encoding="utf-8")
    return file


def _options(model: type[BaseModel]) -> dict[str, Any]:
    """Names of all options, nested as in a settings file."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        is_section = isinstance(kind, type) and issubclass(kind, BaseModel)
        found[name] = _options(kind) if is_section else None  # type: ignore[arg-type]  # a section
    return found


def _names(document: dict[str, Any]) -> dict[str, Any]:
    return {k: _names(v) if isinstance(v, dict) else None for k, v in document.items()}


def test_the_sample_file_is_the_defaults() -> None:
    """What an operator copies and leaves alone changes nothing."""
    assert load_settings(SAMPLE, {}) == Settings()


def test_the_sample_shows_every_option_and_no_other() -> None:
    """Nothing has to be found out from the code."""
    text = SAMPLE.read_text(encoding="utf-8")
    assert _names(tomllib.loads(text)) == _options(Settings)


def test_an_unknown_option_is_an_error_with_path_and_value(tmp_path: Path) -> None:
    file = _written(tmp_path, "[web]\nprot = 8001\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(file, {})
    assert str(caught.value) == f"{file}: web.prot = 8001: unknown option"


def test_every_fault_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    text = '[web]\nport = 70000\n[store]\nkind = "duckbd"\nflush_s = 0\n[strange]\na = 1\n'
    with pytest.raises(SettingsError) as caught:
        load_settings(_written(tmp_path, text), {})
    lines = str(caught.value).splitlines()
    for path, value in (
        ("web.port", "70000"), ("store.kind", "'duckbd'"), ("store.flush_s", "0"), ("strange", "{"),
    ):  # fmt: skip
        assert any(f": {path} = {value}" in line for line in lines), (path, lines)
    assert len(lines) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[web\n", "line 1"),
        ('[map]\ntiles = "https://t/{z}/{x}/{y}.png"\n', "tiles need an attribution"),
        ("web = 3\n", "web = 3"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_name(
    tmp_path: Path, text: str, said: str
) -> None:
    file = _written(tmp_path, text)
    with pytest.raises(SettingsError, match=re.escape(said)) as caught:
        load_settings(file, {})
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_or_no_text_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml: No such file"):
        load_settings(tmp_path / "absent.toml", {})
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# caf\xe9\n")
    with pytest.raises(SettingsError, match=r"latin\.toml"):
        load_settings(latin, {})


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    file = _written(tmp_path, '[web]\nport = 8001\nhost = "0.0.0.0"\n')
    given = {
        "SATOMORI__WEB__PORT": "8002",
        "SATOMORI__STORE__INFLUXDB__URL": "http://influx:8086",
        "SATOMORI_MOSQUITTO": "none",  # no option: one underscore
        "HOME": "/root",
    }
    settings = load_settings(file, given)
    assert (settings.web.port, settings.web.host) == (8002, "0.0.0.0")
    assert settings.store.influxdb.url == "http://influx:8086"


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("SATOMORI__WEB__PROT", "1", "web.prot = '1': unknown option"),
        ("SATOMORI__WEB__PORT", "many", "web.port = 'many'"),
        ("SATOMORI__WEB__PORT__X", "1", "web.port = "),
        ("SATOMORI__WEB", "1", "web = '1'"),
    ],
)
def test_a_wrong_variable_of_the_environment_is_refused(key: str, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        load_settings(None, {key: text})


def test_a_variable_below_an_option_of_the_file_is_refused_by_its_name(tmp_path: Path) -> None:
    file = _written(tmp_path, "[web]\nport = 8001\n")
    with pytest.raises(SettingsError, match="SATOMORI__WEB__PORT__X: 'port' is not a section"):
        load_settings(file, {"SATOMORI__WEB__PORT__X": "1"})


@given(st.text(max_size=200))
def test_no_text_raises_anything_but_a_settings_error(text: str) -> None:
    """Whatever stands in the file: one sentence, never a traceback."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "satomori.toml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            load_settings(file, {})
        except SettingsError as error:
            assert str(file) in str(error)


def test_resolved_settings_pass_through_json_unchanged() -> None:
    """The supervisor hands them down to its children this way."""
    settings = load_settings(SAMPLE, {})
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_links_in_messages_lead_to_the_public_address() -> None:
    assert load_settings(None, {}).public_url == "http://127.0.0.1:8000"
    given = {"SATOMORI__WEB__PUBLIC_URL": "https://bosai.example.jp/"}
    assert load_settings(None, given).public_url == "https://bosai.example.jp"


def test_a_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kept\n")
    secret.chmod(0o640)
    with pytest.raises(SettingsError, match=r"mode 640\): chmod 600"):
        read_secret(secret)
    secret.chmod(0o600)
    assert read_secret(secret) == "kept"
    with pytest.raises(SettingsError, match="No such file"):
        read_secret(tmp_path / "absent")
