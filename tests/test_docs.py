"""The pages under docs/ show what is there."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_example_of_a_network_is_the_real_file():
    page = (ROOT / "docs/new-network.md").read_text(encoding="utf-8")
    assert (ROOT / "mxnetseg/models/fcn.py").read_text(encoding="utf-8") in page


def test_the_example_of_an_origin_is_the_real_file():
    page = (ROOT / "docs/development.md").read_text(encoding="utf-8")
    assert (ROOT / "mxnetseg/convert/tonylins.py").read_text(encoding="utf-8") in page
