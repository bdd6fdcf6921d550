"""Descriptions compare their classes."""

import json
from dataclasses import replace

import pytest

from mxnetseg import data
from mxnetseg.description import from_meta, unnamed


def test_a_description_survives_a_checkpoint():
    about = data.info("camvid")
    back = from_meta(json.loads(json.dumps(about.as_meta())))
    for key, value in about.as_meta().items():
        assert back.as_meta()[key] == value
    assert back.difference(about) is None


@pytest.mark.parametrize("order", ["semseg", "sanet"])
def test_another_order_of_the_same_classes_is_a_difference(order):
    ours, theirs = data.info("camvid"), data.info("camvid32", classes="leading", order="sanet")
    assert "the same classes in another order" in (ours.difference(theirs) or "")
    mapped = ours.order_in(theirs)
    assert [theirs.classes[k].lower() for k in mapped] == [c.lower() for c in ours.classes]


def test_names_are_compared_without_case_and_underscores():
    about = data.info("camvid")
    other = replace(about, classes=tuple(c.upper().replace(" ", "_") for c in about.classes))
    assert about.difference(other) is None
    wrong = replace(about, classes=("lamp", *about.classes[1:]))
    assert "other classes" in about.difference(wrong) and about.order_in(wrong) is None
    fewer = replace(about, classes=about.classes[:-1])
    assert "11 classes" in about.difference(fewer) and "10 classes" in about.difference(fewer)
    nameless = replace(about, classes=unnamed(11))
    assert about.difference(nameless) is None
