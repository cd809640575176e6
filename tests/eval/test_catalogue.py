from pathlib import Path

from eval.catalogue import KINDS, page

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == page()


def test_every_metric_has_one_name_a_formula_and_a_source() -> None:
    infos = [info for _, _, kind in KINDS for info in kind]
    names = [info.name for info in infos]
    assert len(set(names)) == len(names)
    for info in infos:
        assert info.formula
        assert info.source
        assert info.name == info.name.lower()
