"""The page in a real browser: Chromium without a window, driven by WebDriver, keys and all."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from eval.rubric.answers import read_rater
from eval.rubric.conf import MakeConfig, RubricMode, ScoreConfig
from eval.rubric.key import read_key
from eval.rubric.page import build_page, make
from eval.rubric.score import score
from pipeline.core.picture import png_bytes
from tests.fakes.raters import sprites

pytestmark = pytest.mark.chromium
WAIT_S = 60.0


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver

    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert program and driver, "apt-get install chromium chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    profile = tmp_path_factory.mktemp("profile")
    for argument in (
        "--headless=new",
        # The tests may run as root, and in a container with a small /dev/shm.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1280,900",
        f"--user-data-dir={profile}",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver)
    opened = webdriver.Chrome(options=options, service=service)
    yield opened
    opened.quit()


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    for seed, run in enumerate(("base", "lora")):
        (tmp_path / run).mkdir()
        for sprite in sprites(4, seed=seed):
            picture = Image.fromarray(sprite.rgba)
            (tmp_path / run / f"{sprite.name}.png").write_bytes(png_bytes(picture))
    return [tmp_path / "base", tmp_path / "lora"]


def press(browser: Any, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys("".join(keys)).perform()


def text(browser: Any, name: str) -> str:
    return str(browser.find_element("id", name).text)


def begin(browser: Any, page: Path, rater: str) -> None:
    browser.get(page.as_uri())
    field = browser.find_element("id", "rater")
    field.clear()
    field.send_keys(rater + "\n")


def saved(browser: Any, downloads: Path, kind: str) -> Path:
    """Save, and wait for the whole file."""
    before = set(downloads.iterdir())
    browser.find_element("id", f"save-{kind}").click()

    def new() -> list[Path]:
        return [file for file in set(downloads.iterdir()) - before if file.suffix == f".{kind}"]

    until(lambda: bool(new()))
    return new()[0]


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


def complaints(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser")]


def current(browser: Any) -> str:
    """Return the question that is asked now."""
    return str(browser.find_element("css selector", ".current h2").text)


def pressed(browser: Any) -> list[str]:
    """Return the grades that are marked."""
    marked = browser.find_elements("css selector", "[aria-pressed=true]")
    return [each.get_attribute("aria-label")[0] for each in marked]


def seen(browser: Any) -> list[str]:
    return [
        image.get_attribute("src")
        for image in browser.find_elements("css selector", "#pictures img")
    ]


def test_grades_by_keyboard_reload_save_score(
    browser: Any, folders: list[Path], downloads: Path, tmp_path: Path
) -> None:
    made = make(MakeConfig(runs=folders, out=tmp_path / "page.html", num_repeats=3))
    key = read_key(made.key)
    begin(browser, made.page, "Anna Lee")
    assert text(browser, "where") == "Picture 1 of 11; 0 done"
    press(browser, *"54321", *"44444", *"33")
    assert text(browser, "where") == "Picture 3 of 11; 2 done"
    before = seen(browser)

    begin(browser, made.page, "Anna Lee")
    assert text(browser, "where") == "Picture 3 of 11; 2 done", "progress is kept"
    assert seen(browser) == before, "and so is the order"
    assert pressed(browser) == ["3", "3"]

    press(browser, "s", *"55555" * 8)
    assert text(browser, "where").endswith("11 done")
    assert browser.find_element("id", "done").is_displayed()
    from_json = read_rater(saved(browser, downloads, "json"), key)
    from_csv = read_rater(saved(browser, downloads, "csv"), key)
    assert from_json == from_csv
    assert from_json.name == "Anna Lee"
    assert len(from_json.answers) == 11 * 5
    grades = [each.grade for each in from_json.answers]
    assert grades[:15] == [5, 4, 3, 2, 1, 4, 4, 4, 4, 4, 3, 3, None, None, None]
    assert grades[15:] == [5] * 40
    assert sum(each.is_repeat for each in from_json.answers) == 15
    assert {each.item for each in from_json.answers} == key.items

    file = next(file for file in downloads.glob("*.json") if "Anna" in file.name)
    told = json.loads(file.read_text())
    assert told["complete"] is True
    assert [row["position"] for row in told["ratings"][::5]] == list(range(1, 12))
    scores = score(ScoreConfig(key=made.key, ratings=[file], out=tmp_path / "s.json"))
    assert scores.raters[0].num_answers == 52
    assert complaints(browser) == []


def test_undo_and_arrows(browser: Any, folders: list[Path], tmp_path: Path) -> None:
    from selenium.webdriver import Keys

    made = make(MakeConfig(runs=folders, out=tmp_path / "page.html"))
    begin(browser, made.page, "bert")
    assert current(browser) == "Clarity"
    press(browser, "3")
    assert current(browser) == "Palette consistency"
    press(browser, Keys.ARROW_UP, "5")
    assert current(browser) == "Palette consistency"
    press(browser, "u")
    assert current(browser) == "Clarity"
    assert pressed(browser) == ["3"], "the grade before"
    press(browser, "u")
    assert pressed(browser) == []
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert text(browser, "where").startswith("Picture 3 ")
    press(browser, "s")
    assert text(browser, "where") == "Picture 4 of 12; 1 done"
    press(browser, "u")
    assert text(browser, "where") == "Picture 3 of 12; 0 done"
    press(browser, Keys.ARROW_LEFT, *"11111")
    assert text(browser, "where") == "Picture 3 of 12; 1 done"
    assert complaints(browser) == []


def test_raters_have_orders_of_their_own(browser: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(build_page({"a": sprites(12, seed=0)}, mode=RubricMode.absolute).html)
    orders = []
    for rater in ("anna", "bert", "anna"):
        begin(browser, page, rater)
        order = []
        for _ in range(12):
            order.append(seen(browser)[0])
            press(browser, "s")
        orders.append(order)
        browser.execute_script("localStorage.clear()")
    assert orders[0] == orders[2]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert len(set(orders[0])) == 12


def test_what_comes_twice_comes_late_and_with_sides_changed(
    browser: Any, downloads: Path, tmp_path: Path
) -> None:
    from selenium.webdriver import Keys

    sets = {run: sprites(12, seed=seed) for seed, run in enumerate("ab")}
    built = build_page(sets, mode=RubricMode.pairwise, num_repeats=5)
    page = tmp_path / "pairs.html"
    page.write_text(built.html)
    begin(browser, page, "cleo")
    press(browser, *[Keys.ARROW_LEFT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN, "1", "3", "2"] * 2, "s")
    press(browser, *["1"] * 4)
    file = saved(browser, downloads, "json")
    rater = read_rater(file, built.key)
    rows = json.loads(file.read_text())["ratings"]
    said = [row["choice"] for row in rows]
    assert said == [*["left", "right", "tie"] * 4, None, *["left"] * 4]
    assert len(rater.answers) == 17
    first = {row["item"]: row for row in rows if row["repeat"] == 0}
    again = [row for row in rows if row["repeat"] == 1]
    assert len(first) == 12
    assert len(again) == 5
    for row in again:
        earlier = first[row["item"]]
        assert (row["left"], row["right"]) == (earlier["right"], earlier["left"])
        assert row["position"] - earlier["position"] >= 3
    lefts = {built.key.images[row["left"]].run for row in first.values()}
    assert lefts == {"a", "b"}, "sides are drawn"
    assert complaints(browser) == []


def test_pixels_are_whole_and_nothing_is_fetched(
    browser: Any, folders: list[Path], tmp_path: Path
) -> None:
    made = make(MakeConfig(runs=folders, out=tmp_path / "page.html", references=folders[0]))
    begin(browser, made.page, "dora")
    images = browser.find_elements("css selector", "#pictures img")
    widths = [image.size["width"] for image in images]
    assert widths[0] == 16
    assert widths[1] % 16 == 0
    assert widths[1] > 16
    assert {image.value_of_css_property("image-rendering") for image in images} == {"pixelated"}
    fetched = "return performance.getEntriesByType('resource').map((each) => each.name)"
    names = [name for name in browser.execute_script(fetched) if not name.startswith("data:")]
    assert names == []
    attempt = "return fetch('https://example.org/').then(() => 'open', () => 'shut')"
    assert browser.execute_script(attempt) == "shut"
    assert any("Content Security Policy" in told for told in complaints(browser))


def test_all_that_is_pressed_has_a_name_and_is_reached(
    browser: Any, folders: list[Path], tmp_path: Path
) -> None:
    from selenium.webdriver import Keys

    made = make(MakeConfig(runs=folders, out=tmp_path / "page.html"))
    begin(browser, made.page, "emil")
    assert browser.switch_to.active_element.get_attribute("aria-labelledby") == "q-clarity"
    named = "#work button, #work img, #work progress, #work [role=group]"
    for element in browser.find_elements("css selector", named):
        if element.is_displayed():
            assert element.accessible_name, element.get_attribute("outerHTML")
    press(browser, Keys.TAB)
    assert browser.switch_to.active_element.tag_name == "button", "Tab goes on from the question"
    press(browser, Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("aria-labelledby") == (
        "q-palette_consistency"
    )


def test_a_name_that_cannot_be_written_is_not_taken(
    browser: Any, folders: list[Path], tmp_path: Path
) -> None:
    made = make(MakeConfig(runs=folders, out=tmp_path / "page.html"))
    for name in ("", "   ", "=cmd", "a/b", "<b>"):
        begin(browser, made.page, name)
        assert not browser.find_element("id", "work").is_displayed(), name
    begin(browser, made.page, "Zoë 2")
    assert browser.find_element("id", "work").is_displayed()


def test_a_key_held_down_rates_once(browser: Any, folders: list[Path], tmp_path: Path) -> None:
    begin(browser, make(MakeConfig(runs=folders, out=tmp_path / "page.html")).page, "fred")
    down = "document.dispatchEvent(new KeyboardEvent('keydown', {key: '4', repeat: arguments[0]}))"
    for is_repeat in (False, True, True):
        browser.execute_script(down, is_repeat)
    assert pressed(browser) == ["4"]


def test_a_browser_that_keeps_nothing_says_so(
    browser: Any, folders: list[Path], tmp_path: Path
) -> None:
    browser.get(make(MakeConfig(runs=folders, out=tmp_path / "page.html")).page.as_uri())
    browser.execute_script("Storage.prototype.setItem = () => { throw new Error('full'); }")
    assert not browser.find_element("id", "warning").is_displayed()
    browser.find_element("id", "rater").send_keys("gina\n")
    assert browser.find_element("id", "warning").is_displayed()
    press(browser, "5")
    assert pressed(browser) == ["5"], "rating goes on"


def test_a_second_tab_does_not_undo_the_first(
    browser: Any, folders: list[Path], tmp_path: Path
) -> None:
    page = make(MakeConfig(runs=folders, out=tmp_path / "page.html")).page
    begin(browser, page, "hugo")
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    begin(browser, page, "hugo")
    press(browser, "11111")
    second = browser.current_window_handle
    browser.switch_to.window(first)
    # The browser tells other tabs when it has the time.
    until(lambda: text(browser, "where").endswith("1 done"))
    press(browser, "22222")
    assert text(browser, "where") == "Picture 3 of 12; 2 done"
    browser.switch_to.window(second)
    until(lambda: text(browser, "where") == "Picture 3 of 12; 2 done")
    browser.close()
    browser.switch_to.window(first)
