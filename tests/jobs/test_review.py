"""The review page, from run folders that are made here in the formats of ``jobs``."""

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
from jobs.reviews.places import placed, roots_of
from pipeline.core.errors import InputError
from tests.jobs.reviewed import make_bench, make_project, make_report, make_run


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "runs")


def page_of(root, **more):
    runs, broken = read_runs([root])
    known = {"roots": roots_of([root]), "max_rows": 100}
    return review_page(runs, title="t", broken=broken, **(known | more))


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
    there = [str(folder.relative_to(project)) for folder in (half, other, worn)]
    assert all(place in lost for place in (*there, "bench/loader/z"))
    assert str(project) not in page
    assert "train/tiles/a" in page


def test_names_from_files_are_text_and_no_markup(project):
    make_report(make_run(project, "evaluate/tiles/f"), name="<script>alert(1)</script>")
    assert "<script" not in page_of(project)


def test_the_page_can_be_sent_around_and_names_no_place_on_a_machine(project):
    ended = {"started": "2026-11-11T08:00:00+00:00", "reason": "data.path: /mnt/team/art: empty"}
    make_run(project, "train/tiles/lost", attempts=[ended])
    folder = make_run(project, "evaluate/tiles/far")
    sets = {"run": str(project / "train/tiles/a"), "base": "/home/someone/base", "art": "data/art"}
    make_report(folder, sets=sets)
    text = Links(page_of(project)).text
    assert "data.path: .../art: empty" in text
    assert {"train/tiles/a", ".../base", "data/art"} <= set(text)
    page = page_of(project)
    assert not any(place in page for place in (str(project), "/mnt/", "/home/"))


def test_places_in_the_runs_are_told_from_there_whatever_way_they_are_written(tmp_path):
    real = tmp_path / "my disk" / "runs"
    run = make_run(real, "train/t/a")
    link = tmp_path / "link"
    link.symlink_to(real)
    for given in (real, link, run, link / "train/t/a"):
        roots = roots_of([given])
        assert placed(f"{real}/train/t/a/x.json: torn", roots=roots) == "train/t/a/x.json: torn"
    told = "not /usr/lib/x.so, '/a/b' or (/c/d/); 3 img/s, and/or 1 / 2"
    assert placed(told, roots=[]) == "not .../x.so, '.../b' or (.../d); 3 img/s, and/or 1 / 2"


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
