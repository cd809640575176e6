"""The review page, from run folders that are made here in the formats of ``jobs``."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from jobs import review
from jobs.records.curves import read_curve
from jobs.records.find import read_runs
from jobs.records.runs import read_run
from jobs.reviews.facts import benches, hours_by_job, hours_by_week, newest_samples
from jobs.reviews.page import review_page
from pipeline.core.errors import InputError


def make_run(root, name, *, day=1, status="finished", gpu_hours=0.0, **more):
    folder = root / name
    folder.mkdir(parents=True)
    started = f"2026-11-{day:02d}T08:00:00+00:00"
    attempt = {"started": started, "ended": started, "elapsed_s": 60.0, "reason": ""}
    record = {
        "format": "dgx-pixels-run/1", "job": name.split("/")[0], "run_id": name.split("/")[2],
        "status": status, "figures": {"loss": 0.5}, "gpu_hours": gpu_hours, "attempts": [attempt],
        **more,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def make_curve(folder, losses):
    rows = [{"num_images": 8 * n, "train/loss": loss} for n, loss in enumerate(losses, start=1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_bench(folder, median, hardware="8 x B200", unit="img/s"):
    row = {
        "name": "base.rate", "unit": unit, "median": median, "p95": median, "fraction": None,
        "higher_is_better": True,
    }  # fmt: skip
    told = {
        "format": "dgx-pixels-bench/1", "bench": "throughput",
        "conditions": {"hardware": hardware}, "rows": [row],
    }  # fmt: skip
    (folder / "bench.json").write_text(json.dumps(told))


def make_report(folder, name="ssim"):
    value = {"value": 0.5, "low": 0.4, "high": 0.6}
    judged = {
        "info": {"name": name, "unit": "", "higher_is_better": True}, "by": {"run": value},
        "difference": value, "verdict": "better", "against": "",
    }  # fmt: skip
    sets = {"base": {"num_images": 4, "path": "b"}, "run": {"num_images": 4, "path": "r"}}
    told = {
        "format": "dgx-pixels-evaluation/1", "passes": True, "sets": sets, "metrics": [judged],
        "gates": [],
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps(told))


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "runs"
    make_curve(make_run(root, "train/tiles/a", gpu_hours=2.0), [0.5, 0.25, 0.125])
    sheet = make_run(root, "generate/tiles/g", day=2) / "contact_sheet.png"
    Image.new("RGB", (4, 4), (200, 10, 10)).save(sheet)
    make_bench(make_run(root, "bench/throughput/x", day=3), 10.0)
    make_bench(make_run(root, "bench/throughput/y", day=4), 12.0)
    make_report(make_run(root, "evaluate/tiles/e", day=9))
    return root


def page_of(root, **more):
    runs, broken = read_runs([root])
    return review_page(runs, title="t", broken=broken, **{"max_rows": 100, **more})


class Links(HTMLParser):
    """Everything a page would fetch, and its text."""

    def __init__(self, page):
        super().__init__()
        self.fetched, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.fetched += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text.append(data.strip())


def test_the_page_shows_all_and_needs_nothing_beside_it(project):
    links = Links(page_of(project))
    outside = [
        each for each in links.fetched if not each.startswith(("data:image/png;base64,", "#"))
    ]
    assert outside == []
    # The curve, the sheet and the hours.
    assert sum(each.startswith("data:") for each in links.fetched) == 3
    for told in ("train/tiles/a", "ssim", "base.rate", "+20.0 %", "0.5 (0.4 to 0.6)"):
        assert told in links.text, told


def test_the_same_runs_give_the_same_bytes(project):
    assert page_of(project) == page_of(project)


def test_an_empty_project_says_so_and_names_the_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["review", str(tmp_path)])
    assert review.main() == 2
    assert str(tmp_path) in capsys.readouterr().err


def test_runs_that_cannot_be_read_are_told_and_the_rest_is_shown(project):
    half = make_run(project, "train/tiles/half")
    (half / "run.json").write_text('{"format": "dgx')
    other = make_run(project, "train/tiles/other", format="dgx-pixels-run/9")
    worn = make_run(project, "train/tiles/worn")
    (worn / "metrics.jsonl").write_text("nothing\n" + "{}\n")
    (make_run(project, "bench/loader/z") / "bench.json").write_text("[]")
    page = page_of(project)
    lost = page.partition("Could not be read")[2]
    assert all(path in lost for path in (str(half), str(other), str(worn), "bench/loader/z"))
    assert "train/tiles/a" in page


def test_names_from_files_are_text_and_no_markup(project):
    make_report(make_run(project, "evaluate/tiles/f"), name="<script>alert(1)</script>")
    assert "<script" not in page_of(project)


def test_the_newest_rows_are_kept(project):
    page = page_of(project, max_rows=1)
    table = page.partition('id="runs"')[2]
    assert "evaluate/tiles/e" in table
    assert "train/tiles/a" not in table


def test_a_torn_last_line_is_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"num_images": 8, "train/loss": 0.5}\n{"num_images": 8, "x": 1}\n{"num_im')
    assert read_curve(path, "train/loss") == ([8], [0.5])
    assert read_curve(tmp_path / "none", "train/loss") == ([], [])


def test_growth_is_within_one_hardware_and_unit(tmp_path):
    runs = []
    for day, (median, more) in enumerate(
        [(10.0, {}), (5.0, {"hardware": "2 cores"}), (11.0, {}), (1.0, {"unit": "ms"})], start=1
    ):
        folder = make_run(tmp_path, f"bench/throughput/{day}", day=day)
        make_bench(folder, median, **more)
        runs.append(read_run(folder))
    first, second = benches(runs[:3])
    assert (first.hardware, first.changes) == ("2 cores", {})
    assert second.changes == {"base.rate": pytest.approx(0.1)}
    assert second.before == runs[0].name
    assert benches(runs)[1].changes == {}


def test_gpu_hours_are_summed_and_the_unknown_are_counted(tmp_path):
    for day, hours in ((1, 1.5), (2, 2.0), (20, None)):
        make_run(tmp_path, f"train/t/{day}", day=day, gpu_hours=hours)
    runs, _ = read_runs([tmp_path])
    (train,) = hours_by_job(runs)
    assert (train.gpu_hours, train.num_unknown, train.num_runs) == (3.5, 1, 3)
    weeks = hours_by_week(runs)
    assert list(weeks) == ["2026-W44", "2026-W45", "2026-W46", "2026-W47"]
    assert weeks["2026-W44"] == {"train": 1.5}
    assert weeks["2026-W46"] == {}


def test_one_sheet_of_each_experiment_and_no_file_that_is_no_picture(tmp_path):
    for day in (1, 2, 3):
        folder = make_run(tmp_path, f"generate/tiles/{day}", day=day)
        Image.new("RGB", (day, 1)).save(folder / "contact_sheet.png")
    (folder / "contact_sheet.png").write_bytes(b"torn")
    grids = make_run(tmp_path, "train/tiles/t", day=1) / "samples"
    grids.mkdir()
    for images in (8, 16):
        Image.new("RGB", (images, 1)).save(grids / f"{images:012d}.png")
    runs, _ = read_runs([tmp_path])
    told = [(sample.name, sample.what) for sample in newest_samples(runs[::-1])]
    assert [name for name, _ in told] == ["train/tiles/t", "generate/tiles/2"]
    assert re.search(r"\b16\b", told[0][1])


def test_a_run_folder_alone_can_be_reviewed(project, tmp_path, monkeypatch, capsys):
    out = tmp_path / "deep" / "page.html"
    monkeypatch.setattr("sys.argv", ["review", str(project / "train/tiles/a"), f"--out={out}"])
    assert review.main() == 0
    assert str(out) in capsys.readouterr().out
    assert "train/tiles/a" in out.read_text()


@pytest.mark.parametrize("key", ["job", "attempts", "figures"])
def test_a_record_without_what_is_needed_is_one_line(tmp_path, key):
    folder = make_run(tmp_path, "train/t/a", **{key: None})
    with pytest.raises(InputError, match=key):
        read_run(Path(folder))
