"""YAML: what is refused, and in which words."""

import pytest

from mxnetseg import config, data, plain_yaml
from mxnetseg.errors import UsageError

LAUGHS = "a: &a [1, 2]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, key in zip("abcdefgh", "bcdefghi")
)


def test_aliases_are_written_out():
    found = plain_yaml.parse("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}, e: 2}\n", "x")
    assert found == {"a": [1, 2], "b": [1, 2], "c": {"d": 1, "e": 2}}
    assert plain_yaml.parse("", "x") is None


@pytest.mark.parametrize(
    "text, message",
    [
        ("a: [1\n", "x, line 2 is not valid YAML"),
        ("a: &a [*a]\n", "contains itself through an alias"),
        ("&a {b: *a}\n", "contains itself through an alias"),
        ("&a [&b [*a, *b]]\n", "contains itself through an alias"),
        ("[" * 60 + "]" * 60, "nested more than 50 levels"),
        ("[" * 20000, "nested more than 50 levels"),
        ("a: " + "{b: " * 5000 + "1" + "}" * 5000, "nested more than 50 levels"),
        (LAUGHS, "repeats its aliases too often"),
        ("a: 2001-13-45", "cannot read .month must be in 1..12"),
        ("a: 0b_", "put it in quotes"),
        ("a: !!int ''", "put it in quotes"),
        ("a: !!timestamp b", "put it in quotes"),
        ("!!python/object/apply:os.system [exit]", "line 1 is not valid YAML"),
        ("? [1, 2]\n: 3\n", "is not valid YAML"),
        ("\0", "is not valid YAML"),
    ],
)
def test_refused(tmp_path, text, message):
    with pytest.raises(UsageError, match=message) as error:
        plain_yaml.parse(text, "x")
    assert "\n" not in str(error.value)
    path = tmp_path / "classes.yaml"
    path.write_text(text)
    message = message[2:] if message[0] == "x" else message
    with pytest.raises(UsageError, match=message):
        config.build(file=path)
    with pytest.raises(UsageError, match=message):
        data.info(path)
    if "=" not in text:
        with pytest.raises(UsageError, match=message.replace("line 2", "line [12]")):
            config.overrides([f"model.options={text}"])
