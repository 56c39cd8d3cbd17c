"""Secrets are masked wherever they are shown or kept, and nothing else is."""

import pytest

from gnnscale.schema import mask_secrets, mask_text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("s3://AKIA:se/cr+et@bucket/x", "s3://AKIA:***@bucket/x"),
        ("can't open postgresql://me:pass@host:5432/db now", "can't open postgresql://me:***@host:5432/db now"),
        ("https://h/x?sv=1&sig=abc%3D&se=2", "https://h/x?sv=1&sig=***&se=2"),
        ("https://h/x?access_token=abc", "https://h/x?access_token=***"),
        ("redis://:pass@host", "redis://:***@host"),
        ("jdbc:postgresql://h:5432/db?user=me&password=p", "jdbc:postgresql://h:5432/db?user=me&password=***"),
        (
            "jdbc:sqlserver://h:1433;databaseName=d;password=p;x=1",
            "jdbc:sqlserver://h:1433;databaseName=d;password=***;x=1",
        ),
        ("no jdbc:oracle:thin:scott/tiger@//h:1521/orcl", "no jdbc:oracle:thin:scott/***@//h:1521/orcl"),
        ("jdbc:teradata://h/USER=me,PASSWORD=p,TMODE=ANSI", "jdbc:teradata://h/USER=me,PASSWORD=***,TMODE=ANSI"),
        ("jdbc:snowflake://h/?user=me;PWD=p", "jdbc:snowflake://h/?user=me;PWD=***"),
    ],
)
def test_passwords_and_signatures_of_uris_are_masked(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "hdfs://nn:8020/data/x",
        "hdfs://nn:8020/a@b",
        "file:///a:b@c",
        "http://h:80 and a@b",
        "s3://bucket/k@v",
        "jdbc:postgresql://h:5432/db?ssl=true",
    ],
)
def test_what_is_no_password_stays(text: str) -> None:
    assert mask_text(text) == text


def test_options_called_like_secrets_are_masked_and_names_of_columns_are_not() -> None:
    given = {
        "spark": {"conf": {"spark.hadoop.fs.s3a.secret.key": "k", "spark.ui.enabled": "false"}},
        "graph": {"text": {"options": {"api_key": "k", "dims": 3}}},
        "tables": {"t": {"foreign_keys": {"token_id": "tokens", "password": "x"}, "source": "s3://a:b@c/d"}},
    }
    assert mask_secrets(given) == {
        "spark": {"conf": {"spark.hadoop.fs.s3a.secret.key": "***", "spark.ui.enabled": "false"}},
        "graph": {"text": {"options": {"api_key": "***", "dims": 3}}},
        "tables": {"t": {"foreign_keys": {"token_id": "tokens", "password": "x"}, "source": "s3://a:***@c/d"}},
    }
