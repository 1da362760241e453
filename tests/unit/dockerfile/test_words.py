"""Word expansion: variables, operators, quotes, escapes, splitting."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.words import WordError, expand_document, expand_word, expand_words, raw_words

VALUES = {
    "x": "foo.tar.gz",
    "empty": "",
    "path": "/usr/local/bin",
    "spaces": "a b  c",
    "quoted": 'it\'s "so"',
    "star": "a*b",
    "lines": "one\ntwo",
    "y": "$x",
    "é": "accent",
}


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("plain", "plain"),
        ("$x", "foo.tar.gz"),
        ("${x}", "foo.tar.gz"),
        ("a${x}b", "afoo.tar.gzb"),
        ("$x-y", "foo.tar.gz-y"),
        ("$unset", ""),
        ("${unset}", ""),
        ("$y", "$x"),
        ("$é", "accent"),
        ("a b  c", "a b  c"),
        # quotes and escapes
        ("'$x'", "$x"),
        ('"$x"', "foo.tar.gz"),
        ('"${x}"', "foo.tar.gz"),
        ("'a\\'", "a\\"),
        ("a'b'\"c\"d", "abcd"),
        (r"\$x", "$x"),
        (r"\\", "\\"),
        (r"a\b", "ab"),
        (r"\'", "'"),
        (r'"\$x"', "$x"),
        (r'"\""', '"'),
        (r'"\\"', "\\"),
        (r'"a\b"', r"a\b"),
        ('"it\'s"', "it's"),
        ("end\\", "end"),
        ("$quoted", 'it\'s "so"'),
        # what is no variable
        ("$", "$"),
        ("a$", "a$"),
        ("$ x", "$ x"),
        ("$.", "$."),
        ("$%", "$%"),
        # special and positional parameters are never set
        ("$$", ""),
        ("$1", ""),
        ("$10x", "x"),
        ("$@|$*|$#|$?|$!|$-", "|||||"),
        # defaults and alternatives
        ("${unset:-word}", "word"),
        ("${unset-word}", "word"),
        ("${empty:-word}", "word"),
        ("${empty-word}", ""),
        ("${x:-word}", "foo.tar.gz"),
        ("${unset:+word}", ""),
        ("${unset+word}", ""),
        ("${empty:+word}", ""),
        ("${empty+word}", "word"),
        ("${x:+word}", "word"),
        ("${x:?word}", "foo.tar.gz"),
        ("${empty?word}", ""),
        ("${unset:-}", ""),
        ("${unset:-$x}", "foo.tar.gz"),
        ("${unset:-${nope:-deep}}", "deep"),
        ("${unset:-'a } b'}", "a } b"),
        ('${unset:-"$x"}', "foo.tar.gz"),
        (r"${unset:-a\}b}", "a}b"),
        ("${unset:-a:b/c}", "a:b/c"),
        # prefixes and suffixes
        ("${x#*.}", "tar.gz"),
        ("${x##*.}", "gz"),
        ("${x%.*}", "foo.tar"),
        ("${x%%.*}", "foo"),
        ("${x#fo?}", ".tar.gz"),
        ("${x#nope}", "foo.tar.gz"),
        ("${x%nope}", "foo.tar.gz"),
        ("${x#.}", "foo.tar.gz"),
        ("${path##*/}", "bin"),
        ("${path%/*}", "/usr/local"),
        ("${unset#a}", ""),
        (r"${star#a\*}", "b"),
        (r"${star%\*b}", "a"),
        ("${star#a?}", "b"),
        ("${x#${x%.gz}}", ".gz"),
        ("${lines#*t}", "one\ntwo"),  # a wildcard stops at the end of a line
        ("${lines%o}", "one\ntw"),
        # replacement
        ("${x/o/0}", "f0o.tar.gz"),
        ("${x//o/0}", "f00.tar.gz"),
        ("${x/.*/}", "foo"),
        ("${x//./-}", "foo-tar-gz"),
        (r"${path/\//}", "usr/local/bin"),
        (r"${path//\//:}", ":usr:local:bin"),
        ("${x//?/x}", "xxxxxxxxxx"),
        ("${x//*/x}", "x"),
        ("${empty/x/y}", ""),
        ("${unset//x/y}", ""),
        ("${x/nope/y}", "foo.tar.gz"),
        ("${x/foo/$path}", "/usr/local/bin.tar.gz"),
    ],
)
def test_a_word_is_expanded(word, text):
    assert expand_word(word, VALUES.get).text == text


@pytest.mark.parametrize(
    ("word", "text"),
    [("`$x", "$x"), (r"c:\dir\$x", "c:\\dir\\foo.tar.gz"), ('"`""', '"'), ("``", "`"), ('"\\"', "\\")],
)
def test_the_escape_character_can_be_a_backtick(word, text):
    assert expand_word(word, VALUES.get, "`").text == text


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("'a", "missing closing single quote"),
        ('"a', "missing closing double quote"),
        ('"a$x', "missing closing double quote"),
        ("${x", "missing '}'"),
        ("${", "missing '}'"),
        ("${x:", "missing '}'"),
        ("${x:-a", "missing '}'"),
        ("${x:-'a}", "missing closing single quote"),
        ("${x/a", "missing '/'"),
        ("${x/a/b", "missing '}'"),
        ("${}", "bad substitution"),
        ("${{x}}", "bad substitution"),
        ("${:-x}", "bad substitution"),
        ("${x!}", r"unsupported modifier \(!\)"),
        ("${x:=w}", r"unsupported modifier \(:=\)"),
        ("${x:0:1}", r"unsupported modifier \(:0\)"),
        ("${ x}", "bad substitution"),
        ("${unset:?say $x}", "unset: say foo.tar.gz"),
        ("${unset?}", "unset: is not allowed to be unset"),
        ("${empty:?}", "empty: is not allowed to be empty"),
        (r"${x#a\b}", r"invalid escape '\\b'"),
        (r"${x/a\b/c}", r"invalid escape '\\b'"),
        ("${a:-" * 5000, "nested too deeply"),
    ],
)
def test_a_word_that_cannot_be_expanded(word, message):
    with pytest.raises(WordError, match=message):
        expand_word(word, VALUES.get)


def test_the_names_in_a_word_are_told():
    result = expand_word("$x ${unset} ${nope:-$empty} $1 '$quoted'", VALUES.get)
    assert result.matched == {"x", "empty"}
    assert result.unmatched == {"unset", "nope", "1"}


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("", []),
        ("  ", []),
        ("a b", ["a", "b"]),
        (" a\t b\n", ["a", "b"]),
        ("$spaces", ["a", "b", "c"]),
        ('"$spaces"', ["a b  c"]),
        ("x$spaces", ["xa", "b", "c"]),
        ("'a b' c", ["a b", "c"]),
        (r"a\ b", ["a b"]),
        ("$empty a ''", ["a"]),
        ("a\u00a0b", ["a", "b"]),
        ("a\x1fb", ["a\x1fb"]),
    ],
)
def test_words_are_split_after_expansion(word, words):
    assert expand_words(word, VALUES.get) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$x\n", "foo.tar.gz\n"),
        ("'$x' \"$x\"", "'foo.tar.gz' \"foo.tar.gz\""),
        (r"\$x \\ \n", r"$x \ n"),
        ("it's", "it's"),
        ("$unset|", "|"),
    ],
)
def test_quotes_mean_nothing_in_a_document(text, expected):
    assert expand_document(text, VALUES.get).text == expected


def test_raw_words_keep_what_is_written():
    assert raw_words("a 'b c' $d ${e:-f} \"g h\" i\\ j", keep_escapes=True) == [
        "a",
        "'b c'",
        "$d",
        "${e:-f}",
        '"g h"',
        "i\\ j",
    ]


_PLAIN = st.text(st.characters(exclude_characters="\\'\"$`", exclude_categories=("Cs",)))


@given(_PLAIN)
def test_text_without_special_characters_is_itself(text):
    assert expand_word(text, VALUES.get).text == text


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_every_text_can_be_quoted(text):
    single = "'" + text.replace("'", "'\"'\"'") + "'"
    double = '"' + re.sub(r'([\\"$])', r"\\\1", text) + '"'
    escaped = re.sub(r"([\\'\"$])", r"\\\1", text)
    assert [expand_word(word, VALUES.get).text for word in (single, double, escaped)] == [text] * 3


@given(st.text("ab$ {}:-+'\"\\#%/?*", max_size=14))
def test_any_text_is_expanded_or_refused(text):
    try:
        result = expand_word(text, VALUES.get).text
    except WordError as error:
        assert error.message
    else:
        words = "".join(expand_words(text, VALUES.get))  # splitting takes away nothing but blanks
        assert words.replace(" ", "") == result.replace(" ", "")


def _matches(pattern: str, text: str) -> bool:
    """Shell patterns of plain characters, ``*`` and ``?``, by their definition."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(_matches(pattern[1:], text[index:]) for index in range(len(text) + 1))
    return bool(text) and pattern[0] in (text[0], "?") and _matches(pattern[1:], text[1:])


@given(st.text("ab*?", max_size=5), st.text("ab", max_size=8))
def test_prefixes_and_suffixes_are_the_shortest_and_the_longest(pattern, value):
    cuts = range(len(value) + 1)
    prefixes = [value[cut:] for cut in cuts if _matches(pattern, value[:cut])] or [value]
    suffixes = [value[:cut] for cut in reversed(cuts) if _matches(pattern, value[cut:])] or [value]
    lookup = {"v": value}.get
    assert expand_word("${v#" + pattern + "}", lookup).text == prefixes[0]
    assert expand_word("${v##" + pattern + "}", lookup).text == prefixes[-1]
    assert expand_word("${v%" + pattern + "}", lookup).text == suffixes[0]
    assert expand_word("${v%%" + pattern + "}", lookup).text == suffixes[-1]
