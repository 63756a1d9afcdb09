"""Mails as a browser draws them: wide and narrow, light and dark, in both languages."""

import subprocess
from pathlib import Path

import pytest
from notify_home import notice, templates
from PIL import Image

from localai.notify.events import DIGEST, EVENTS
from localai.notify.records import Notice

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]

WIDE, NARROW = (800, 1400), (320, 2200)
MARGIN = 6  # pixels at the sides that belong to the background, at any width


def _notices(event: str) -> list[Notice]:
    arguments = {
        "path": "설정/settings.toml",
        "content": "x" * 5000,
        "argv": ["rm", "-rf", "/tmp/x"],
    }
    rest = {"arguments": arguments, "reason": "y" * 900, "cwd": "/home/" + "deep/" * 60}
    if event == DIGEST:
        return [notice(each, number=n, tool="t" * 90, **rest) for n, each in enumerate(EVENTS)]
    return [notice(event, why="z" * 300, risk="critical", **rest)]


def _drawn(page: Path, size: tuple[int, int], *, is_dark: bool) -> Image.Image:
    picture = page.with_suffix(".png")
    scheme = ["--blink-settings=preferredColorScheme=0"] if is_dark else []
    command = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
        *(f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}", *scheme),
        page.as_uri(),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return Image.open(picture).convert("RGB")


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize("event", [*EVENTS, DIGEST])
def test_a_mail_fits_its_window_and_follows_the_scheme(
    event: str, language: str, tmp_path: Path
) -> None:
    """Nothing sticks out at the sides, however long a word is; dark is dark, light is light."""
    page = tmp_path / f"{language}-{event}.html"
    page.write_text(templates(language).strict("0" * 16, _notices(event)).html, encoding="utf-8")
    for size, is_dark in ((WIDE, False), (NARROW, True)):
        drawn = _drawn(page, size, is_dark=is_dark)
        assert drawn.size == size
        edges = (drawn.crop((0, 0, MARGIN, size[1])), _right(drawn))
        colours = {colour for edge in edges for _, colour in edge.getcolors() or [(0, None)]}
        assert len(colours) == 1, colours
        (background,) = colours
        assert background is not None
        assert (sum(background) < 3 * 64) is is_dark
        assert len(drawn.getcolors(1 << 24) or ()) > 20, "something is written on it"


def _right(drawn: Image.Image) -> Image.Image:
    return drawn.crop((drawn.width - MARGIN, 0, drawn.width, drawn.height))
