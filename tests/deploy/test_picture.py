import json
import math
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deploy.observe import picture
from deploy.observe.ask import Window, curves
from deploy.observe.dashboards import dashboard
from deploy.observe.table import DASHBOARDS, SIGNALS
from deploy.observe.units import UNITS, UnitFormatter, text
from tests.fakes import exporter

NOW_S = 1_700_000_000.4


class Server:
    """Answers as Prometheus' HTTP API does: a curve of ``value`` a series asked for."""

    def __init__(self) -> None:
        self.series: list[dict[str, str]] = [{"hostname": "dgx1", "gpu": "0"}]
        self.asked: list[str] = []
        self.steps = slice(None)
        self.value: Callable[[int], float] = float

    def page(self, path: str) -> str:
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(path).query))
        if path.startswith("/api/v1/query?"):
            return json.dumps({"data": {"result": [NOW_S, "1"]}})
        self.asked.append(query["query"])
        start, end, step = (float(query[name]) for name in ("start", "end", "step"))
        times = np.arange(start, end + step / 2, step)
        values = [[t, str(self.value(i))] for i, t in enumerate(times)][self.steps]
        rows = [{"metric": labels, "values": values} for labels in self.series]
        return json.dumps({"data": {"resultType": "matrix", "result": rows}})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def url(server: Server) -> Iterator[str]:
    with exporter.answering(server.page) as address:
        yield f"http://{address}"


def titles(axes: Any) -> list[str]:
    return [axes.get_title(loc=where) for where in ("left", "right")]


def draw(url: str, name: str, **given: str) -> Any:
    window = Window(start_s=NOW_S - 100, step_s=1.0, num_steps=101)
    return picture.draw(url, dashboard(name), window, given)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_each_panel_is_asked_for_as_grafana_would(server: Server, url: str, name: str) -> None:
    figure = draw(url, name)
    panels = dashboard(name)["panels"]
    for panel, asked in zip(panels, server.asked, strict=True):
        expr = panel["targets"][0]["expr"]
        assert asked == expr.replace("$price_per_gpu_hour", "0").replace("$price_per_kwh", "0")
    assert [titles(axes)[0] for axes in figure.axes] == [panel["title"] for panel in panels]


def test_prices_are_put_in_and_other_dollars_left(server: Server, url: str) -> None:
    draw(url, "cost", price_per_gpu_hour="2.5")
    (cost,) = [asked for asked in server.asked if "/ 1000 * 0" in asked]
    assert "* 2.5 +" in cost
    assert picture.filled("$other + $price", {"price": "1"}) == "$other + 1"


def test_panels_stand_two_a_row(url: str) -> None:
    figure = draw(url, "vram")
    figure.canvas.draw()
    left, right, below, _ = (axes.get_position() for axes in figure.axes)
    assert left.x1 < right.x0
    assert below.y1 < left.y0


def test_a_panel_without_data_says_so(server: Server, url: str) -> None:
    server.series = []
    for axes in draw(url, "power").axes:
        assert [text.get_text() for text in axes.texts] == ["no data"]


def test_many_curves_at_zero_are_one_word_and_other_many_the_highest(
    server: Server, url: str
) -> None:
    server.series = [{"hostname": "dgx1", "gpu": str(gpu)} for gpu in range(40)]
    server.value = lambda _: 0.0
    axes = draw(url, "power").axes[2]
    assert axes.get_legend() is None
    assert [text.get_text() for text in axes.texts] == ["all 40 at 0"]
    server.value = float
    legend = draw(url, "power").axes[2].get_legend()
    assert len(legend.get_texts()) == picture.LEGEND
    assert "24" in legend.get_title().get_text()


def test_names_come_in_the_order_of_their_numbers(server: Server, url: str) -> None:
    server.series = [{"hostname": "dgx1", "gpu": gpu} for gpu in ("10", "9", "0")]
    names = [line.get_text() for line in draw(url, "power").axes[2].get_legend().get_texts()]
    assert [name.split()[1] for name in names] == ["0", "9", "10"]
    assert all(name.endswith("100 W") for name in names)


def test_a_hole_stays_a_hole(server: Server, url: str) -> None:
    server.steps = slice(None, None, 2)
    server.value = lambda i: math.nan if i == 4 else i
    window = Window(start_s=1000.0, step_s=2.0, num_steps=7)
    (curve,) = curves(url, "up", window)
    assert np.flatnonzero(np.isfinite(curve.values)).tolist() == [0, 2, 6]


def test_the_line_of_an_alert_is_where_the_alert_is(url: str) -> None:
    (axes,) = [axes for axes in draw(url, "vram").axes if "of all" in titles(axes)[0]]
    assert titles(axes)[1] == "alert > 95%"
    (free,) = [axes for axes in draw(url, "vram").axes if "Disk" in titles(axes)[0]]
    assert titles(free)[1] == "alert < 10%"
    assert [titles(axes)[1] for axes in draw(url, "utilisation").axes] == [""] * 6


def test_files_are_named_and_the_same_data_gives_the_same_bytes(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        told = ["--prometheus", url, "--out", str(folder), "--dashboard", "power", "--hours", "1"]
        assert picture.main(told) == 0
        assert capsys.readouterr().out.strip() == str(folder / "power.png")
        made.append((folder / "power.png").read_bytes())
    assert made[0] == made[1]
    with Image.open(tmp_path / "a" / "power.png") as image:
        assert image.width > 1000


def test_the_window_ends_now_on_whole_steps(server: Server) -> None:
    window = picture._window(NOW_S, 6.0)
    assert window.times_s[-1] == round(NOW_S)
    assert window.times_s[-1] - window.times_s[0] == 6 * 3600
    assert window.step_s == 72.0
    assert picture._window(NOW_S, 0.001).num_steps >= 2


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--dashboard", "gpus"], "--dashboard: gpus"),
        (["--hours", "0"], "--hours: 0"),
        (["--hours", "nan"], "--hours: nan"),
        (["--set", "price=2"], "price;"),
        (["--set", "price_per_kwh=cheap"], "'cheap'"),
        (["--set", "price_per_kwh=nan"], "'nan'"),
        (["--prometheus", "localhost:9090"], "localhost:9090"),
        (["--prometheus", "http://127.0.0.1:9"], "http://127.0.0.1:9 does not answer"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], found: str
) -> None:
    out = tmp_path / "out"
    assert picture.main(["--prometheus", url, "--out", str(out), *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert found in line
    assert not out.exists()


@pytest.mark.parametrize("out", ["file", "file/inside"])
def test_a_file_is_no_folder(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    (tmp_path / "file").touch()
    told = ["--prometheus", url, "--out", str(tmp_path / out), "--dashboard", "cost"]
    assert picture.main(told) == 2
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize("page", ["<html>", "{}", "[]", '{"data": {"result": []}}'])
def test_another_server_is_no_prometheus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], page: str
) -> None:
    with exporter.serving(lambda _: page) as address:
        assert picture.main(["--prometheus", f"http://{address}", "--out", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert address in line


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1536 * 1024**2, "bytes", "1.5 GiB"), (0, "bytes", "0 B"), (0.05, "percentunit", "5%"),
        (999, "watt", "999 W"), (1000, "watt", "1 kW"), (8.4e11, "Bps", "840 GB/s"),
        (90, "s", "1.5 min"), (0.0431, "s", "43.1 ms"), (0, "s", "0 s"), (7200, "s", "2 h"),
        (0.5, "kwatth", "500 Wh"), (24, "kwatth", "24 kWh"), (1.2e-15, "sci", "1.2e-15"),
        (1670, "short", "1.67 K"), (-1670, "short", "-1.67 K"), (0.077, "short", "0.077"),
        (61.44, "celsius", "61.4 °C"), (12000, "percent", "12000%"),
    ],
)  # fmt: skip
def test_values_are_shown_as_grafana_shows_them(value: float, unit: str, shown: str) -> None:
    assert text(value, unit) == shown


def test_every_unit_of_the_table_can_be_shown() -> None:
    assert {signal.unit for signal in SIGNALS if signal.panel} <= set(UNITS)


@pytest.mark.parametrize(
    ("ticks", "unit", "shown"),
    [
        ([0.975, 1.0, 1.025], "short", ["0.975", "1.000", "1.025"]),
        ([0, 400, 1600], "short", ["0.0 K", "0.4 K", "1.6 K"]),
        ([0, 0.5, 1], "percentunit", ["0%", "50%", "100%"]),
        ([996, 998, 1000], "watt", ["0.996 kW", "0.998 kW", "1.000 kW"]),
        ([1e-15, 2e-15], "sci", ["1.0e-15", "2.0e-15"]),
        ([], "watt", []),
    ],
)
def test_neighbouring_ticks_differ(ticks: list[float], unit: str, shown: list[str]) -> None:
    assert UnitFormatter(unit).format_ticks(ticks) == shown
