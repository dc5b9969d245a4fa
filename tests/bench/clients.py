"""What people use today for this job: ``python -m tests.bench.clients NAME RECORDS.csv``.

Written as one finds them: around the libraries' documented calls, no smarter and no sillier. A record that fails is
passed over, as scripts do. botocore takes endpoint, keys and Region from the environment.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import time
from typing import Any

TITLES = {
    "ours": "batchpol",
    "sleep": "boto3, `sleep(1)`",
    "adaptive": "boto3, adaptive, 10 attempts",
    "limiter": "aiobotocore, `AsyncLimiter(1, 1)` around the call",
}
"""Every client of the benchmark; the first one is the installed command, not of this module."""


def sleep(records: list[dict[str, str]], read_first: bool) -> None:
    """boto3 with its default retries, and a second's sleep after every call."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client("ses")
    for record in records:
        try:
            if read_first:
                client.get_identity_policies(**_wanted(record))
                time.sleep(1)
            client.put_identity_policy(**_put(record))
        except (BotoCoreError, ClientError) as error:
            print(record["identity"], error)
        time.sleep(1)


def adaptive(records: list[dict[str, str]], read_first: bool) -> None:
    """boto3's own client-side rate limiter, with twice the usual attempts."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client("ses", config=Config(retries={"mode": "adaptive", "total_max_attempts": 10}))
    for record in records:
        try:
            if read_first:
                client.get_identity_policies(**_wanted(record))
            client.put_identity_policy(**_put(record))
        except (BotoCoreError, ClientError) as error:
            print(record["identity"], error)


def limiter(records: list[dict[str, str]], read_first: bool) -> None:
    """aiobotocore with its default retries, all records at once, each call behind one limiter."""
    asyncio.run(_limited(records, read_first))


async def _limited(records: list[dict[str, str]], read_first: bool) -> None:
    from aiobotocore.session import get_session
    from aiolimiter import AsyncLimiter
    from botocore.exceptions import BotoCoreError, ClientError

    gate = AsyncLimiter(1, 1)
    async with get_session().create_client("ses") as client:

        async def apply(record: dict[str, str]) -> None:
            try:
                if read_first:
                    async with gate:
                        await client.get_identity_policies(**_wanted(record))
                async with gate:
                    await client.put_identity_policy(**_put(record))
            except (BotoCoreError, ClientError) as error:
                print(record["identity"], error)

        await asyncio.gather(*(apply(record) for record in records))


def _put(record: dict[str, str]) -> dict[str, Any]:
    return {"Identity": record["identity"], "PolicyName": record["policy_name"], "Policy": record["policy"]}


def _wanted(record: dict[str, str]) -> dict[str, Any]:
    return {"Identity": record["identity"], "PolicyNames": [record["policy_name"]]}


CLIENTS = {"sleep": sleep, "adaptive": adaptive, "limiter": limiter}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("records")
    parser.add_argument("--read-first", action="store_true")
    given = parser.parse_args()
    with open(given.records, newline="") as file:
        records = list(csv.DictReader(file))
    CLIENTS[given.client](records, given.read_first)


if __name__ == "__main__":
    main()
