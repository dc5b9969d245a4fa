"""The tables of what AWS has: whether something is missing, and how old they are.

``python -m tests.tables`` makes them anew. What they lack is no error of a record's, so that they may be old.
"""

from __future__ import annotations

from datetime import date
from types import ModuleType

import pytest

from batchpol import identity
from batchpol.identity import known as places
from batchpol.policy import action, keys
from batchpol.policy import known as names
from tests.tables import operations, regions

TABLES = (places, names)


def age(table: ModuleType) -> str:
    days = (date.today() - date.fromisoformat(table.MADE)).days
    return f"{table.__name__} of {table.MADE}, {days} days old"


@pytest.mark.parametrize("table", TABLES, ids=age)
def test_a_table_says_of_when_and_from_what_it_is(table: ModuleType) -> None:
    assert date.fromisoformat(table.MADE)
    assert "botocore" in table.SOURCES
    assert all(version[0].isdecimal() for version in table.SOURCES.values())


def test_no_region_or_partition_of_botocore_is_missing() -> None:
    partitions, with_ses = regions()
    for partition, found in partitions.items():
        assert found.keys() <= places.REGIONS[partition].keys()
        assert {identity.partition_of(name) for name in found} == {partition}
    assert with_ses <= places.WITH_SES


def test_no_operation_of_botocore_is_missing() -> None:
    assert operations() <= action.ACTIONS


def test_what_ses_s_guide_names_is_in_the_tables() -> None:
    assert {name for _, them in names.BRINGS for name in them.split()} >= action.LISTED
    assert keys.TYPES.keys() >= keys.DOCUMENTED
    assert {key for brought, _ in names.BRINGS for key in brought.split()} <= keys.TYPES.keys()


@pytest.mark.parametrize("region", sorted(name for found in places.REGIONS.values() for name in found))
def test_a_region_of_the_table_is_taken_without_a_word(region: str) -> None:
    assert not identity.check_region(region)
    assert not [it for it in identity.check_place(identity.partition_of(region), region) if "region" in it.code]
