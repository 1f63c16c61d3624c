"""The quick tier of `mutations`: two faults are planted, and all of them still can be."""

import re

import pytest

from tests.reliability.faults import FAULTS
from tests.reliability.mutations import ROOT, plant

QUICK = ("a worker never fences itself", "one slot more than the limit")


@pytest.mark.timeout(600)
def test_planted_faults_are_caught() -> None:
    caught, missed = plant([fault for fault in FAULTS if fault.name in QUICK])

    assert (sorted(caught), missed) == (sorted(QUICK), [])


def test_there_are_faults_enough_and_each_has_a_name_of_its_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30


def test_every_fault_fits_the_source_and_has_its_test() -> None:
    for fault in FAULTS:
        source = (ROOT / fault.file).read_text()
        file, _, test = fault.test.partition("::")
        name = re.sub(r"\[.*", "", test)

        assert source.count(fault.text) == 1, f"{fault.name}: change it with {fault.file}"
        compile(source.replace(fault.text, fault.instead), fault.file, "exec")
        assert f"def {name}(" in (ROOT / file).read_text(), f"{fault.name}: its test has gone"
