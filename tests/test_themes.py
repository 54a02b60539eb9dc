"""Themes: the shipped ones are complete and readable, a user's bad one is a message and no crash."""

from pathlib import Path

import pytest

from lvmtui.themes import COLOURS, DEFAULT_THEME, Theme, load_themes, themes_dir, to_textual_theme

SHIPPED, PROBLEMS = load_themes()
COLOURED = {name: theme for name, theme in SHIPPED.items() if not theme.ansi}
"""Those whose colours are not the terminal's."""


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio (WCAG 2.1)."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def lab(colour: str) -> tuple[float, float, float]:
    """CIE L*a*b* of an sRGB colour under D65, in which equal distances look about equal (CIE 1976)."""
    rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb)
    xyz = (
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089,
    )
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def seen_by(colour: str, deficiency: str) -> tuple[float, float, float]:
    """A colour as a dichromat sees it (Machado, Oliveira and Fernandes 2009, severity 1), linear RGB."""
    matrix = {
        "protan": (
            (0.152286, 1.052583, -0.204868),
            (0.114503, 0.786281, 0.099216),
            (-0.003882, -0.048116, 1.051998),
        ),
        "deutan": (
            (0.367322, 0.860646, -0.227968),
            (0.280085, 0.672501, 0.047413),
            (-0.011820, 0.042940, 0.968881),
        ),
    }[deficiency]
    rgb = [(int(colour[i : i + 2], 16) / 255) for i in (1, 3, 5)]
    red, green, blue = (sum(a * b for a, b in zip(row, rgb, strict=True)) for row in matrix)
    return red, green, blue


def test_there_are_dark_and_light_ones_and_no_problems() -> None:
    assert PROBLEMS == []
    assert len(SHIPPED) >= 10
    assert DEFAULT_THEME in SHIPPED
    assert SHIPPED[DEFAULT_THEME].dark
    assert {theme.dark for theme in SHIPPED.values()} == {True, False}
    assert {path.stem for path in themes_dir().glob("*.toml")} == set(SHIPPED)


@pytest.mark.parametrize("theme", COLOURED.values(), ids=list(COLOURED))
def test_everything_can_be_read(theme: Theme) -> None:
    grounds = [theme.colours["background"], theme.colours["surface"]]
    for ground in grounds:
        assert contrast(theme.colours["foreground"], ground) >= 7
        for name in ("primary", "accent", "success", "warning", "error"):
            assert contrast(theme.colours[name], ground) >= 4.5, name
        assert contrast(theme.variables["muted"], ground) >= 4.5
        for name in ("chart-axis", "chart-level"):
            assert contrast(theme.variables[name], ground) >= 3, name
        for colour in theme.series:
            assert contrast(colour, ground) >= 3, colour
    cursor = theme.variables["block-cursor-background"]
    assert contrast(theme.variables["block-cursor-foreground"], cursor) >= 4.5


@pytest.mark.parametrize("theme", COLOURED.values(), ids=list(COLOURED))
def test_the_curves_differ(theme: Theme) -> None:
    assert len(theme.series) == 8
    places = [lab(colour) for colour in theme.series]
    for i, one in enumerate(places):
        for j, other in enumerate(places[i + 1 :], i + 1):
            apart = sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5
            assert apart > 15, (theme.series[i], theme.series[j], apart)


def test_the_terminals_own_colours_are_told_apart() -> None:
    theme = SHIPPED["ansi"]
    assert theme.ansi
    assert len(set(theme.series)) == 8
    assert all(colour.startswith("ansi_") for colour in (*theme.series, *theme.colours.values()))


@pytest.mark.parametrize("name", ["lvm-dark", "lvm-light", "contrast", "tol-dark", "tol-light"])
@pytest.mark.parametrize("deficiency", ["protan", "deutan"])
def test_the_first_curves_differ_for_every_colour_vision(name: str, deficiency: str) -> None:
    seen = [seen_by(colour, deficiency) for colour in SHIPPED[name].series[:4]]
    for i, one in enumerate(seen):
        for other in seen[i + 1 :]:
            assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > 0.12


@pytest.mark.parametrize("theme", SHIPPED.values(), ids=list(SHIPPED))
def test_textual_takes_them(theme: Theme) -> None:
    made = to_textual_theme(theme)
    assert made.name == theme.name
    assert made.dark is theme.dark
    assert made.variables["series-1"] == theme.series[0]


def file(**changes: str) -> str:
    lines = {key: f'"{SHIPPED[DEFAULT_THEME].colours[key]}"' for key in COLOURS}
    values = {"name": '"mine"', "dark": "true", **lines, **changes}
    return (
        "\n".join(f"{key} = {value}" for key, value in values.items() if value)
        + '\n[series]\ncolours = ["#ffffff"]\n'
    )


def test_a_users_theme_is_added_and_may_replace_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(file())
    (tmp_path / "b.toml").write_text(file(name='"lvm-dark"', primary='"#123456"'))
    themes, problems = load_themes(tmp_path)
    assert problems == []
    assert "mine" in themes
    assert themes["lvm-dark"].colours["primary"] == "#123456"
    assert load_themes()[0]["lvm-dark"].colours["primary"] != "#123456"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (file(primary='"blueish"'), "primary = 'blueish' is no colour"),
        (file(primary=""), "primary is missing"),
        (file(dark='"yes"'), "dark must be true or false"),
        (file(name='"../x"'), "small letters"),
        (file(colour='"#ffffff"'), "unknown key 'colour'"),
        (file(primary='"ansi_red"'), "primary = 'ansi_red' is no colour"),
        (file(primary='"ansi_pink"', ansi="true"), "primary = 'ansi_pink' is no colour"),
        (file(ansi="1"), "ansi must be true or false"),
        ("name = [", "not valid TOML"),
        (file().replace('["#ffffff"]', "[]"), "[series]"),
        (file() + '[variables]\nmuted = "50; x"\n', "[variables] muted"),
        ("series = 3\n" + file().replace("[series]\n", ""), ""),
    ],
)
def test_a_bad_theme_is_a_message(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    themes, problems = load_themes(tmp_path)
    assert len(problems) == 1
    assert problems[0].startswith("bad.toml: ")
    assert said in problems[0]
    assert set(themes) == set(SHIPPED)


def test_a_missing_folder_is_fine(tmp_path: Path) -> None:
    assert load_themes(tmp_path / "none") == (SHIPPED, [])


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    assert len(load_themes(tmp_path)[1]) == 1
