"""What is said of a whole run, and in a record's columns: an account, a Region, and the mends of faulty ones."""

from __future__ import annotations

import pytest

from batchpol.identity import check_account, check_cell, check_region, require_account, require_region
from batchpol.model.errors import UsageError

ROUNDED = "a spreadsheet rounded it: format the column as text, and write all 12 digits"

REGIONS = [
    ("us-east-1a", "did you mean us-east-1?"),
    ("us-esat-1", "did you mean us-east-1?"),
    ("eu-wst-1", "did you mean eu-west-1?"),
    ("ue-west-1", "did you mean eu-west-1?"),
    ("us-gov-wset-1", "did you mean us-gov-west-1?"),
    ("useast1", "did you mean us-east-1?"),
    ("eu-west", "did you mean eu-west-1?"),
    ("US-EAST-1", "write us-east-1"),
    ("us_east_1", "write us-east-1"),
    (" us-east-1", "write us-east-1"),
    ("us-east-1\u200b", "write us-east-1"),
    ("arn:aws:ses:eu-west-1:111122223333:identity/example.com", "write eu-west-1"),
    ("email.eu-west-1.amazonaws.com", "write eu-west-1"),
    ("Frankfurt", "did you mean eu-central-1?"),
    ("virginia", "did you mean us-east-1?"),
    ("nowhere", "a Region is written as us-east-1 is"),
]

ACCOUNTS = [
    ("1234-5678-9012", "write 123456789012"),
    ("1234 5678 9012", "write 123456789012"),
    (" 123456789012", "write 123456789012"),
    ("123456789012\u00a0", "write 123456789012"),
    ("\ufeff123456789012", "write 123456789012"),
    ("'123456789012", "write 123456789012"),
    ("123,456,789,012", "write 123456789012"),
    ("123456789012.0", "write 123456789012"),
    ("123456789012,00", "write 123456789012"),
    ("1.23456789012E+11", "write 123456789012"),
    ("1.23457E+11", ROUNDED),
    ("1,23457E+11", ROUNDED),
    ("1.2345678901E+11", ROUNDED),
    ("arn:aws:iam::123456789012:root", "write 123456789012"),
    ("arn:aws:iam::123456789012:role/mail-2", "write 123456789012"),
    ("12345678901", "was it 012345678901 before a spreadsheet dropped leading zeros?"),
    ("0123456789", "was it 000123456789 before a spreadsheet dropped leading zeros?"),
    ("acme-production", ""),
    ("1234567890123", ""),
]


@pytest.mark.parametrize("said, mend", REGIONS)
def test_a_faulty_region_of_a_run_is_refused_with_the_mend(said: str, mend: str) -> None:
    with pytest.raises(UsageError, match=r"`to_region` .* is no Region") as refused:
        require_region(said, "to_region")
    assert refused.value.hint == mend


@pytest.mark.parametrize("said, mend", ACCOUNTS)
def test_a_faulty_account_of_a_run_is_refused_with_the_mend(said: str, mend: str) -> None:
    with pytest.raises(UsageError, match=r"`account` .* is no account id of 12 digits") as refused:
        require_account(said)
    assert refused.value.hint == (mend or "aws sts get-caller-identity says the 12 digits of yours")
    assert check_account(said)[0].hint == mend


@pytest.mark.parametrize("region", ["", "us-east-1", "me-west-1", "sa-west-1", "us-west-3", "nz-east-1", "xx-south-9"])
def test_a_region_that_may_be_new_is_taken(region: str) -> None:
    require_region(region)
    assert not region or not check_region(region)


@pytest.mark.parametrize("word", ["nan", "NaN", "None", "null", "N/A", "#N/A", "<NA>", "-", " nan "])
def test_what_programs_write_for_an_empty_cell_is_to_be_left_out(word: str) -> None:
    for where in ("account", "region"):
        (found,) = check_cell(where, word)
        assert (found.where, found.hint) == (where, "leave it empty")


def test_an_empty_cell_and_blanks_around_one_are_fine() -> None:
    assert not [it for cell in (None, "", "  ", " 123456789012 ") for it in check_cell("account", cell)]
    assert not [it for cell in (None, "", "  ", " us-east-1\t") for it in check_cell("region", cell)]
