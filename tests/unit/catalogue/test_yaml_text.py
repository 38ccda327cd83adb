"""What the reader of YAML takes for what, and what it refuses with a line and a column."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plans.catalogue.problems import CatalogueInvalid
from plans.catalogue.yaml_text import MAX_BYTES, parse, read_text, write


def value(text):
    return parse(f"v: {text}", name="f")["v"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on", "on"), ("no", "no"), ("yes", "yes"), ("1:30", "1:30"), ("010", "010"),
        ("1_000", "1_000"), ("0x10", "0x10"), ("2026-01-31", "2026-01-31"),
        ("2026-01-31T00:00:00Z", "2026-01-31T00:00:00Z"), ("1e3", "1e3"), ("=", "="),
        ("true", True), ("false", False), ("null", None), ("~", None), ("", None),
        ("0", 0), ("1000", 1000), ("-5", -5), ("0.04", 0.04), (".5", 0.5), ("1.", 1.0),
        ('"0.04"', "0.04"), ("'12'", "12"), ("True", "True"), ("Null", "Null"),
    ],
)  # fmt: skip
def test_plain_text_means_what_yaml_1_2_says(text, expected):
    found = value(text)
    assert (type(found), found) == (type(expected), expected)


PYTHON_TAG = "Could not determine a constructor for the tag 'tag:yaml.org,2002:python/name:x'."


@pytest.mark.parametrize(
    ("text", "path", "cause"),
    [
        ("a: 1\nb: [1, 2", "line 2, column 9", "Expected ',' or ']', but got '<stream end>'."),
        ("a: 1\n  b: 2", "line 2, column 4", "Mapping values are not allowed here."),
        ("a: 1\nb: 2\na: 3", "line 3, column 1", "“a” is written twice."),
        ("a: &x 1\nb: *x", "line 1, column 4", "Anchors and aliases (& and *) are not used here."),
        ("b: *x", "line 1, column 4", "Anchors and aliases (& and *) are not used here."),
        ("a: !x y", "line 1, column 4", "Could not determine a constructor for the tag '!x'."),
        ("a: !!python/name:x y", "line 1, column 4", PYTHON_TAG),
        ("? [a]\n: 1", "line 1, column 3", "A name must be plain text."),
        ("[" * 30, "line 1, column 21", "More than 20 levels are nested."),
        ("a: \x00", "", "Unacceptable character #x0000: special characters are not allowed."),
        ('a: "\\0"', "line 1, column 4", "The text holds a character that cannot be stored."),
        ('a: "\\ud800"', "line 1, column 4", "The text holds a character that cannot be stored."),
        ("a: 1\n---\nb: 2", "line 2, column 1", "But found another document."),
    ],
)  # fmt: skip
def test_what_is_not_plain_yaml_is_refused(text, path, cause):
    with pytest.raises(CatalogueInvalid) as refusal:
        parse(text, name="plans.yaml")
    (problem,) = refusal.value.found
    assert (problem.file, problem.path, problem.cause) == ("plans.yaml", path, cause)
    assert problem.code == "yaml_syntax"


def test_files_that_cannot_be_read(tmp_path):
    long, latin = tmp_path / "long.yaml", tmp_path / "latin.yaml"
    long.write_bytes(b"a" * (MAX_BYTES + 1))
    latin.write_bytes("ä: 1".encode("latin-1"))
    for path, code in [(tmp_path / "none", "unreadable"), (long, "too_long"), (latin, "not_utf8")]:
        with pytest.raises(CatalogueInvalid) as refusal:
            read_text(path)
        assert refusal.value.found[0].code == code


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
content = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=12,
)


@given(content)
def test_what_is_written_is_read(content):
    assert parse(write(content), name="f") == content
