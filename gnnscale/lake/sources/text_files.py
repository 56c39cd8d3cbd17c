"""CSV, TSV and JSON lines: one reading of their words, for what a table is and for its rows."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.fs
import pyarrow.json

from gnnscale.lake.words import TIMES, WordKind, WordKinds, read_words
from gnnscale.schema import LakeError

BLOCK: Final = 16 << 20
"""Bytes that are parsed at a time; no row is longer."""

_PEEKED: Final = 1 << 16

END: Final = "\x02the end of the file\x03"
"""First value of a row that is read behind those of a file."""


@dataclass(frozen=True)
class TextFile:
    """A file of text.

    Args:
        path: in its file system.
        is_json: JSON, one object a line; else values between delimiters under a line of names.
        tabs: whether tabs stand between the values.
    """

    path: str
    is_json: bool
    tabs: bool = False


@dataclass(frozen=True)
class TextColumns:
    """What the columns of files of text hold.

    Args:
        kinds: column -> what its words are.
        others: column -> type, of columns of JSON that are no words.
        rows: of all files.
    """

    kinds: Mapping[str, WordKind]
    others: Mapping[str, pa.DataType]
    rows: int

    @property
    def schema(self) -> pa.Schema:
        """Columns and their types, those of words first as they came."""
        return pa.schema([*((name, kind.type) for name, kind in self.kinds.items()), *self.others.items()])


def find_columns(filesystem: pyarrow.fs.FileSystem, files: Sequence[TextFile]) -> TextColumns:
    """Read files of one table for what their columns hold.

    Raises:
        LakeError: a file is not what its name says, or a column has values of several types.
    """
    words: dict[str, WordKinds] = {}
    others: dict[str, pa.DataType] = {}
    rows = 0
    for file in files:
        for table in _tables(filesystem, file):
            rows += table.num_rows
            for name, column in zip(table.column_names, table.columns, strict=True):
                if pa.types.is_string(column.type):
                    words.setdefault(name, WordKinds(TIMES if file.is_json else tuple(WordKind))).see(column)
                else:
                    others[name] = _merged(file.path, name, others.get(name, pa.null()), column.type)
    for name in [name for name in words if name in others]:
        if pa.types.is_null(others[name]):
            del others[name]
        elif words[name].is_empty:
            del words[name]
        else:
            raise LakeError(f"{files[0].path}: column '{name}' holds text in some files and {others[name]} in others")
    # Columns of JSON that are null throughout could be anything.
    kinds = {name: kinds.found() for name, kinds in words.items()}
    kinds |= {name: WordKind.TEXT for name, kind in others.items() if pa.types.is_null(kind)}
    return TextColumns(kinds, {name: kind for name, kind in others.items() if not pa.types.is_null(kind)}, rows)


def read_text(filesystem: pyarrow.fs.FileSystem, file: TextFile, columns: TextColumns) -> Iterator[pa.Table]:
    """Rows of a file, with those of the columns that it has, in their types."""
    for table in _tables(filesystem, file):
        values = {}
        for name, column in zip(table.column_names, table.columns, strict=True):
            if name in columns.kinds:
                values[name] = read_words(columns.kinds[name], column.cast(pa.string()))
            else:
                values[name] = column
        yield pa.table(values)


def _merged(path: str, name: str, known: pa.DataType, found: pa.DataType) -> pa.DataType:
    try:
        schemas = [pa.schema([(name, kind)]) for kind in (known, found)]
        return pa.unify_schemas(schemas, promote_options="permissive").field(name).type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        raise LakeError(f"{path}: column '{name}' holds {found}, and {known} in other files of its folder") from None


def _tables(filesystem: pyarrow.fs.FileSystem, file: TextFile) -> Iterator[pa.Table]:
    """A file in pieces: values of CSV as the words that they are, those of JSON as they are, times as words too."""
    try:
        yield from (_json_tables if file.is_json else _csv_tables)(filesystem, file)
    except pa.ArrowInvalid as error:
        raise LakeError(f"{file.path} can't be read as {'json' if file.is_json else 'csv'}: {_reason(error)}") from None
    except OSError as error:
        raise LakeError(f"{file.path} can't be read: {str(error).splitlines()[0]}") from None


def _csv_tables(filesystem: pyarrow.fs.FileSystem, file: TextFile) -> Iterator[pa.Table]:
    with filesystem.open_input_stream(file.path) as stream:
        head = stream.read(_PEEKED)
    line = head.partition(b"\n")[0].strip(b"\r\xef\xbb\xbf")
    if not head.strip():
        raise pa.ArrowInvalid("it is empty, without a line of names")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line:
        raise pa.ArrowInvalid("it is not text in UTF-8")
    delimiter = "\t" if file.tabs else _delimiter(line)
    names = _names(head, delimiter)
    parsed = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    # Without the line of names, columns of one name stay apart until they are refused.
    options = pyarrow.csv.ReadOptions(block_size=BLOCK, column_names=names, skip_rows_after_names=1)
    converted = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    last = f"{END}{delimiter * (len(names) - 1)}\n"
    with (
        filesystem.open_input_stream(file.path) as stream,
        pyarrow.csv.open_csv(_WithEnd(stream, f"\n{last}".encode()), options, parsed, converted) as reader,
    ):
        # A file with names alone has columns, and no batch to tell them.
        yield pa.table({name: pa.array([], pa.string()) for name in names})
        rows, held = 0, None
        for batch in reader:
            if not batch.num_rows:
                continue
            if held is not None:
                yield pa.Table.from_batches([held])
            rows, held = rows + batch.num_rows, batch
    # The row that was put behind the others; a quote that is not closed takes in all that follows it.
    if held is None or held.column(0)[-1].as_py() != END:
        raise pa.ArrowInvalid(f"a quote in its row {rows:,} is not closed")
    yield pa.Table.from_batches([held.slice(0, held.num_rows - 1)])


class _WithEnd(io.RawIOBase):
    """A stream with some octets behind it."""

    def __init__(self, stream: pa.NativeFile, end: bytes) -> None:
        super().__init__()
        self._stream, self._end = stream, io.BytesIO(end)

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, and say with how many octets: fewer than it holds at the end alone."""
        filled = 0
        for source in (self._stream, self._end):
            while filled < len(buffer) and (found := source.read(len(buffer) - filled)):
                buffer[filled : filled + len(found)] = found
                filled += len(found)
        return filled


def _names(head: bytes, delimiter: str) -> list[str]:
    """Names of the columns; those that have none are numbered, as Spark numbers them."""
    parsed = pyarrow.csv.ParseOptions(
        delimiter=delimiter, newlines_in_values=True, invalid_row_handler=lambda _: "skip"
    )
    with pyarrow.csv.open_csv(
        io.BytesIO(head + b"\n"), pyarrow.csv.ReadOptions(block_size=2 * _PEEKED), parsed
    ) as reader:
        names = [name or f"_c{place}" for place, name in enumerate(reader.schema.names)]
    for name in names:
        if names.count(name) > 1:
            raise pa.ArrowInvalid(f"two of its columns are called '{name}'")
    return names


def _delimiter(line: bytes) -> str:
    """What stands between the names in the first line: a comma, unless it has none and another that is common."""
    return next((sign for sign in (",", ";", "\t", "|") if sign.encode() in line), ",")


def _json_tables(filesystem: pyarrow.fs.FileSystem, file: TextFile) -> Iterator[pa.Table]:
    with filesystem.open_input_stream(file.path) as stream:
        content = stream.read()
    if not content.strip():
        raise pa.ArrowInvalid("it is empty")
    if content.lstrip()[:1] == b"[":
        raise pa.ArrowInvalid("it holds one array; write one object a line")
    options = pyarrow.json.ReadOptions(block_size=BLOCK)
    found = pyarrow.json.read_json(pa.BufferReader(content), options)
    # Arrow takes some words for times, to the second; all are read by one rule.
    schema = pa.schema([(f.name, pa.string() if pa.types.is_timestamp(f.type) else f.type) for f in found.schema])
    if schema.types != found.schema.types:
        parsed = pyarrow.json.ParseOptions(explicit_schema=schema)
        found = pyarrow.json.read_json(pa.BufferReader(content), options, parsed)
    for name in found.column_names:
        if found.column_names.count(name) > 1:
            raise pa.ArrowInvalid(f"two of its columns are called '{name}'")
    yield found


def _reason(error: pa.ArrowInvalid) -> str:
    reason = str(error).splitlines()[0]
    if "invalid UTF8" in reason or "invalid UTF-8" in reason:
        return f"it is not text in UTF-8 ({reason})"
    return reason
